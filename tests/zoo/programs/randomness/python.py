import random

import names

first = random.random()
random.seed()
names.fail(first, random.random(), random.Random().random())
