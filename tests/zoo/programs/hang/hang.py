"""A job that waits for ever for something that does not come."""

import queue
import signal
import sys


def consume(source, seen):
    while True:
        seen.append(source.get())


if sys.argv[1:] == ["deaf"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1:] == ["polite"]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
numbers = queue.Queue()
numbers.put(1)
consume(numbers, [])
