import contextlib


def spread():
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(open("/dev/null")) for _ in range(200)]


spread()
