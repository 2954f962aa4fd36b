"""A pool of processes, one of which fails."""

import multiprocessing

from work import invert

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(invert, range(5), chunksize=1))
