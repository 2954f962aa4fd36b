#!/bin/sh
"$1" crash.py segfault
code=$?
echo "the job ended with $code"
exit $code
