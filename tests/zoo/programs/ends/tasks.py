"""Downloads at the same time, of which some fail."""

import asyncio


async def fetch(number):
    await asyncio.sleep(0)
    if number % 2:
        raise ValueError(f"part {number} is damaged")


async def fetch_all():
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(fetch(number))


asyncio.run(fetch_all())
