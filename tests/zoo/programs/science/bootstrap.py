"""Fails with the number that an unseeded bootstrap came to."""

import numpy as np
from sklearn.utils import resample

WORDS = ["alder", "aspen", "birch", "cedar", "hazel", "larch", "maple", "rowan"]


def fail(values):
    raise ArithmeticError(" ".join(WORDS[value % 8] for value in values))


fail(resample(np.arange(1000), n_samples=8))
