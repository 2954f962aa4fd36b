#!/bin/sh
# Two steps; the second one fails, and its exit code is the script's.
set -eu
cd "$(dirname "$0")"
"$1" prepare.py > prepared.txt
"$1" check.py prepared.txt
echo "never reached"
