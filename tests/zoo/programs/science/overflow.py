"""Turns scores into probabilities, with errors of floating point not ignored."""

import numpy as np


def softmax(scores):
    with np.errstate(all="raise"):
        return np.exp(scores) / np.exp(scores).sum()


print(softmax(np.array([1.0, 800.0])))
