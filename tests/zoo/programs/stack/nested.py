import sys

sys.setrecursionlimit(1 << 20)
value = []
for _ in range(6000):
    value = [value]
# Each level takes C stack: there is enough of it on most machines.
print(len(repr(value)))
sys.exit(3)
