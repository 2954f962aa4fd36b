"""Encodes a word that was not there when the encoder was fitted."""

import numpy as np
from sklearn.preprocessing import OneHotEncoder

FITTED = OneHotEncoder(handle_unknown="error").fit(np.array([["Bonn"], ["Ulm"]], dtype=object))


def encode(words):
    return FITTED.transform(words)


print(encode(np.array([["Bremen"]], dtype=object)).toarray())
