"""Python's own generator: what it is seeded with when nobody says with what."""

import os

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program

_SEED = 624 * 4  # bytes of the Mersenne Twister's state: as much as it takes from the system itself


def watch(random: "Any", program: "Program") -> None:
    """Give the module's generator, and those that are made later, seeds that are noted."""
    draws, real = program.draws, random.Random.seed

    def seed(self: "Any", a: "Any" = None, version: "Any" = 2) -> None:
        drawn = draws.take("random", _SEED) if a is None else None
        # A number of this size is made the state in the same way as the system's bytes are.
        real(self, a if drawn is None else int.from_bytes(drawn, "little"), version)

    seed.__doc__, seed.__qualname__, seed.__module__ = real.__doc__, real.__qualname__, real.__module__
    random.Random.seed = seed
    random.seed = random._inst.seed
    random._urandom = os.urandom
    random._inst.seed()
    if hasattr(os, "register_at_fork"):
        # After the module's own, which seeds a child's generator with what nobody notes.
        os.register_at_fork(after_in_child=random._inst.seed)
