"""Requests at the same time, of which one is answered with nonsense."""

import asyncio


async def price(number):
    await asyncio.sleep(0)
    return 100 / (number - 2)


async def main():
    print(await asyncio.gather(*(price(number) for number in range(4))))


asyncio.run(main())
