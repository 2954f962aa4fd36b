import sys

with open(sys.argv[1]) as file:
    rows = [line.split(",") for line in file]
print({name: float(value) for name, value in rows})
