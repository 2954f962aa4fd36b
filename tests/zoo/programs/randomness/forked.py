import os
import random
from multiprocessing import get_context

import names


def draw(queue):
    queue.put(random.random())


def main():
    context = get_context("fork")
    found = []
    for _ in range(2):
        queue = context.SimpleQueue()
        process = context.Process(target=draw, args=(queue,))
        process.start()
        found.append(queue.get())
        process.join()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, repr(random.random()).encode())
        os._exit(0)
    os.wait()
    found.append(float(os.read(reader, 100)))
    assert len(set(found)) == 3
    names.fail(*found)


if __name__ == "__main__":
    main()
