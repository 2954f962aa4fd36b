"""Asks a database for a column that a migration has renamed."""

import sqlite3
import sys


def total(name):
    with sqlite3.connect(name) as connection:
        return connection.execute("select sum(amount) from sales").fetchone()


print(total(sys.argv[1]))
