"""Sizes as they are written: `cpu=8,mem=32,gpu=1`."""

from __future__ import annotations

import dataclasses

from dsenv.errors import ConfigError
from dsenv.models.machine import Needs

_HINT = "write it as: cpu=8,mem=32,gpu=1 (mem in GB; each may be left out)"


@dataclasses.dataclass(frozen=True)
class Size:
    """Processors, memory in GB, GPUs. Zero is: not said."""

    cpus: float = 0.0
    memory_gb: float = 0.0
    gpus: int = 0

    def at_least(self, needs: Needs) -> Size:
        """This size, and more where `needs` asks for more."""
        return Size(max(self.cpus, needs.cpus), max(self.memory_gb, needs.memory_gb), max(self.gpus, needs.gpus))

    def __str__(self) -> str:
        said = ((self.cpus, "CPUs"), (self.memory_gb, "GB"), (self.gpus, "GPUs"))
        return ", ".join(
            f"{value:g} {unit[:-1] if value == 1 and unit[-1] == 's' else unit}" for value, unit in said if value
        )


def parse(text: str | None) -> Size:
    """Raises ConfigError for what cannot be read as a size."""
    values: dict[str, float] = {}
    for part in (text or "").replace(" ", "").split(","):
        if not part:
            continue
        name, _, value = part.partition("=")
        if name not in {"cpu", "mem", "gpu"} or name in values:
            raise ConfigError(f"{text!r} is not a size: {part!r} is not understood", hint=_HINT)
        values[name] = _number(text, part, value, whole=name == "gpu")
    return Size(values.get("cpu", 0.0), values.get("mem", 0.0), int(values.get("gpu", 0)))


def _number(text: str | None, part: str, value: str, *, whole: bool) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6 or (whole and number != int(number)):
        raise ConfigError(f"{text!r} is not a size: {part!r} is not understood", hint=_HINT)
    return number
