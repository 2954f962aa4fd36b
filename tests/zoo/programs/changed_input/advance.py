"""Moves a position file on, in place, before it finds out that the position was no number."""

import json
import os


def advance(path):
    with open(path) as file:
        state = json.load(file)
    position = state["position"]
    with open(path, "w") as file:
        json.dump({"position": 0, "taken_from": position}, file)
    return 100 / position


print(advance(os.path.join(os.path.dirname(os.path.abspath(__file__)), "position.json")))
