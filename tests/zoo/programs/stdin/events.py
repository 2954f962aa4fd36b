"""Counts events that come as JSON lines on standard input."""

import json
import sys


def count(lines):
    total = 0
    for line in lines:
        event = json.loads(line)
        total += event["count"]
    return total


print(count(sys.stdin))
