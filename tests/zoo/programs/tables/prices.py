"""Raises prices; a word among the numbers has made text of the column."""

import pandas as pd


def raised(prices):
    return [price * 1.1 for price in prices]


print(raised(pd.read_csv("prices.csv")["price"]))
