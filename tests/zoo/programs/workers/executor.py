"""The same with futures, in forked processes."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from work import invert

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        print(list(pool.map(invert, range(5))))
