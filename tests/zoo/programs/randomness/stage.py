import random
import sys

import names

if sys.argv[1] == "one":
    print(random.random())
else:
    names.fail(random.random(), float(sys.stdin.read()))
