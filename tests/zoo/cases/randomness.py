"""Failures that chance decides: each time another one, and on a reproduction the same."""

from __future__ import annotations

from tests.zoo.case import Case


def _case(name: str, *words: str, ways: tuple[str, ...] = ("redirect",), **more: object) -> Case:
    """`names.py` fails with words that were chosen at random."""
    facts: dict[str, object] = {
        "file": "names.py",
        "function": "fail",
        "line_text": 'raise LookupError(", ".join(of(number) for number in numbers))',
    }
    return Case(
        f"random_{name}",
        words or ("{python}", f"{name}.py"),
        program="randomness",
        type="LookupError",
        message=None,
        silent=False,
        chance=True,
        repeat=3,
        **{**facts, "ways": ways, **more},  # type: ignore[arg-type]
    )


CASES = (
    _case("python", ways=("namespace", "redirect")),
    _case("arrays"),
    _case("split"),
    _case("forked"),
    _case("spawned"),
    _case("pools"),
    _case("pipeline", "./pipeline.sh", "{python}", ways=("namespace",)),
    _case(
        "hashes",
        file="hashes.py",
        function="<module>",
        line_text='raise LookupError(" ".join({*names.TREES}))',
    ),
    _case("entropy", options=("--record-entropy",)),
)
