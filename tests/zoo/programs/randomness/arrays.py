import names
import numpy as np
from numpy.random import default_rng

first = np.random.rand()
np.random.seed()
names.fail(first, np.random.rand(), default_rng().random(), np.random.RandomState().rand())
