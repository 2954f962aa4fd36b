"""Takes the first file that the folder gives: which one that is, is the file system's choice."""

import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
first = next(iter(os.listdir(folder)))
second = next(path for path in folder.iterdir() if path.name != first)
raise LookupError(f"{(folder / first).read_text().strip()} before {second.name}")
