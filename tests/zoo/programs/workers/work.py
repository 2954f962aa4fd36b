"""What the workers do."""


def invert(number):
    scale = number - 3
    return 1 / scale
