"""PyTorch: its generators begin with a constant; only `torch.seed()` draws."""

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program

_SIZE = 8


def watch(random: "Any", program: "Program") -> None:
    """Stand for `torch.seed`. `torch.random` is loaded before `torch` takes the function from it."""
    draws, real = program.draws, random.seed

    def seed() -> int:
        drawn = draws.take("torch", _SIZE)
        if drawn is None:
            return int(real())
        value = int.from_bytes(drawn, "little")
        random.manual_seed(value)
        return value

    seed.__doc__, seed.__qualname__, seed.__module__ = real.__doc__, real.__qualname__, real.__module__
    random.seed = seed
