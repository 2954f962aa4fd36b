"""Takes a job out of its box: what was read is not there any more."""

import os
import sys

with open(sys.argv[1]) as file:
    job = file.read()
os.remove(sys.argv[1])
with open(sys.argv[1] + ".taken", "w") as file:
    file.write(job)
os.replace(sys.argv[1] + ".taken", sys.argv[1] + ".done")
with open(sys.argv[1] + ".done") as file:
    print(1 / int(file.read()))
