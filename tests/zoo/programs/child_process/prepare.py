"""Writes what the second step reads."""

print("3 5 x 8")
