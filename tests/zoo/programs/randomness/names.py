"""Fails by a name that a number chooses among a quarter of a million."""

TREES = ("ash", "birch", "cedar", "elm", "fir", "oak", "pine", "yew")


def of(number):
    return " ".join(TREES[int(number * 8**place) % 8] for place in range(1, 7))


def fail(*numbers):
    raise LookupError(", ".join(of(number) for number in numbers))
