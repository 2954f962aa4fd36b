"""Reads what the first step wrote."""

import sys


def check(words):
    return [int(word) for word in words]


with open(sys.argv[1]) as file:
    print(check(file.read().split()))
