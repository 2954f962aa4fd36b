"""Reads the delivery of a day on which nothing came."""

import pandas as pd


def load(name):
    return pd.read_csv(name)


print(load("nothing.csv").sum())
