"""A job that fails and ends in the way that its first argument names."""

import json
import os
import sys
import threading


def parse(text):
    limit = 3
    return json.loads(text)[limit]


def handler():
    try:
        parse("[1, 2]")
    except IndexError as error:
        print("cannot parse:", error)
        sys.exit(3)


def system_exit():
    try:
        parse("[1, 2]")
    except IndexError:
        raise SystemExit("the file is too short") from None


def os_exit():
    try:
        parse("[1, 2]")
    except IndexError:
        sys.stdout.flush()
        os._exit(5)


def code():
    missing = [name for name in ("HOME", "NO_SUCH_VARIABLE_HERE") if name not in os.environ]
    return 4 if missing else 0


def thread():
    results = []
    worker = threading.Thread(target=lambda: results.append(parse("[]")))
    worker.start()
    worker.join()
    return 0 if results else 6


def hook():
    sys.excepthook = lambda kind, error, traceback: print("failed:", error)
    parse("[]")


def recursion():
    def walk(node):
        return walk({"parent": node})

    walk(None)


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]]())
