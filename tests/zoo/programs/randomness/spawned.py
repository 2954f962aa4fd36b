import random
from multiprocessing import get_context

import names


def draw(queue):
    queue.put(random.random())


def main():
    found = []
    for way in ("spawn", "forkserver"):
        context = get_context(way)
        for _ in range(2):
            queue = context.SimpleQueue()
            process = context.Process(target=draw, args=(queue,))
            process.start()
            found.append(queue.get())
            process.join()
    assert len(set(found)) == 4
    names.fail(*found)


if __name__ == "__main__":
    main()
