"""Reads an archive whose transfer was cut off."""

import gzip
import sys


def rows(name):
    with gzip.open(name, "rt") as file:
        return file.readlines()


print(len(rows(sys.argv[1])))
