import mmap
import os
import sys

import numpy as np

values = np.load(sys.argv[1], mmap_mode="r")
handle = os.open(sys.argv[2], os.O_RDONLY)
words = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
raise LookupError(f"{words[:].decode().split()[int(values[-1])]}")
