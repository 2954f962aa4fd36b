"""Threads of a pool, of which one fails."""

from concurrent.futures import ThreadPoolExecutor


def price(number):
    return 100 / (number - 2)


with ThreadPoolExecutor(3) as pool:
    print(list(pool.map(price, range(4))))
