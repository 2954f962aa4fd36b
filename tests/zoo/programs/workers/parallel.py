"""joblib, with a function of the script itself, which is sent to the workers by value."""

from joblib import Parallel, delayed


def invert(number):
    scale = number - 3
    return 1 / scale


if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(invert)(number) for number in range(5)))
