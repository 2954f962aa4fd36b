"""Fits a model that does not converge, where warnings are errors."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("error", ConvergenceWarning)


def fit(features, labels):
    return LogisticRegression(max_iter=2).fit(features, labels)


values = np.arange(60.0).reshape(20, 3) ** 2
print(fit(values, np.arange(20) % 2).coef_)
