"""Joins by a key that should be there once."""

import pandas as pd


def joined(left, right):
    return left.merge(right, on="item", validate="one_to_one")


stock = pd.DataFrame({"item": ["desk", "lamp"], "stock": [3, 8]})
print(joined(stock, pd.read_csv("twice.csv")))
