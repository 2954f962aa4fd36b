"""A job that runs another one, and does not go on without it."""

import subprocess
import sys


def run(script):
    subprocess.run([sys.executable, script], check=True)


run("child.py")
