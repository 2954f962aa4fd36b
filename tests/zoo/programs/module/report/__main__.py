"""python -m report"""

import sys

from .ratios import ratio

print(ratio(int(sys.argv[1]), int(sys.argv[2])))
