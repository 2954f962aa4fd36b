"""Compares times with and without a zone."""

import pandas as pd


def late(events, deadline):
    return events[events["at"] > deadline]


events = pd.read_csv("events.csv", parse_dates=["at"])
print(late(events, pd.Timestamp("2026-03-01 12:00")))
