#!/bin/sh
# Fuzz every target for a quarter of an hour (or as many seconds as are given), on one core, politely.
cd "$(dirname "$0")/.." || exit 1
exec nice -n 19 python fuzz/run.py --seconds "${1:-900}"
