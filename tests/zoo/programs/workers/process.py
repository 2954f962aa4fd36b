"""One process, whose exit code becomes that of the job."""

import multiprocessing
import sys

from work import invert

if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=invert, args=(3,), name="inverter")
    process.start()
    process.join()
    sys.exit(process.exitcode)
