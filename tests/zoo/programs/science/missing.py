"""Trains on data with a hole."""

import pandas as pd
from sklearn.linear_model import LinearRegression


def train(table):
    return LinearRegression().fit(table[["area"]], table["rent"])


print(train(pd.read_csv("rents.csv")).coef_)
