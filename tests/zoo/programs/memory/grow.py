import sys


def load(megabytes):
    blocks = []
    while True:
        blocks.append(bytearray(b"x" * (megabytes << 20)))


load(int(sys.argv[1]))
