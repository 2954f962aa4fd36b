import subprocess
import sys

lines = subprocess.run(["sort", sys.argv[1]], check=True, capture_output=True, text=True).stdout.split()
total = sum(int(line) for line in lines)
