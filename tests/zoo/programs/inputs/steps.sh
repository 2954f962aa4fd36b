#!/bin/sh
grep -q ready "$1" && exit 3
exit 4
