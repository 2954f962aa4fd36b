"""NumPy's generators: all of them, the legacy global state too, are seeded through one function of one module."""

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(bit_generator: "Any", program: "Program") -> None:
    """Note what `SeedSequence` takes when it is given nothing. This module is loaded before any generator is made."""
    draws, real = program.draws, bit_generator.randbits

    def randbits(k: int) -> int:
        size = (k + 7) // 8
        drawn = draws.take("numpy", size)
        return int(real(k)) if drawn is None else int.from_bytes(drawn, "little") >> (size * 8 - k)

    randbits.__doc__ = real.__doc__
    bit_generator.randbits = randbits
