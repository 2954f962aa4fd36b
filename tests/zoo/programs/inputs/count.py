"""Looks at which files there are, not into them."""

import glob
import os

NUMBERS = ("none", "one", "two", "three", "four", "five")
found = glob.glob("spool/**/*.dat", recursive=True)
folders = [name for name in os.listdir("spool") if os.path.isdir(f"spool/{name}")]
raise LookupError(f"{NUMBERS[len(found)]} files in {NUMBERS[len(folders)]} folders")
