"""Reads its batch size from the environment, where somebody wrote 12k."""

import os


def batch_size():
    text = os.environ.get("BATCH_ROWS", "1000")
    return int(text)


print("rows in a batch:", batch_size())
