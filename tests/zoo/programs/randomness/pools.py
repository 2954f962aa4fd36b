import os
import random
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import names
import numpy as np
from joblib import Parallel, delayed


def draw(number, folder):
    """Waits for the other, so that each worker takes one."""
    (folder / str(number)).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return os.getpid(), random.random(), np.random.rand()


def main():
    for name in ("executor", "joblib"):
        Path(name).mkdir()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        first = sorted(pool.map(draw, range(2), [Path("executor")] * 2), key=lambda drawn: drawn[1])
    second = sorted(Parallel(n_jobs=2)(delayed(draw)(n, Path("joblib")) for n in range(2)), key=lambda drawn: drawn[1])
    names.fail(*(number for _, *numbers in first + second for number in numbers))


if __name__ == "__main__":
    main()
