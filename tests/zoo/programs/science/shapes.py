"""Adds weights of another model."""

import numpy as np


def ensemble(first, second):
    return (first + second) / 2


print(ensemble(np.ones((3, 4)), np.ones((3, 5))))
