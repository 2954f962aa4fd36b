#!/bin/sh
# Two Pythons that start at once, below one shell.
"$1" stage.py one | "$1" stage.py two
