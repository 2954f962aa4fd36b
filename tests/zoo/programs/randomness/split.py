import names
import numpy as np
from sklearn.model_selection import train_test_split

_, test = train_test_split(np.arange(4096))
names.fail(*(row / 4096 for row in test[:3]))
