"""Parses a filter that comes as an argument with every kind of quoting in it."""

import shlex
import sys


def words(expression):
    return shlex.split(expression)


def main(arguments):
    assert arguments[0] == "--where"
    assert arguments[2:] == ["", "*", "$HOME", "a\nb", "naïve ☃", "-x=1 2", "--"], arguments
    return words(arguments[1])


print(main(sys.argv[1:]))
