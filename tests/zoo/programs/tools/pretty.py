"""A job whose tracebacks are printed by rich."""

import rich.traceback

rich.traceback.install(width=100)


def load(name):
    with open(name) as file:
        return file.read()


load("rates.csv")
