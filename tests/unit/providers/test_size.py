"""Sizes as users write them."""

from __future__ import annotations

import pytest

from dsenv.errors import ConfigError
from dsenv.models.machine import Needs
from dsenv.providers.size import Size, parse


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (None, Size()),
        ("", Size()),
        ("cpu=8,mem=32,gpu=1", Size(8, 32, 1)),
        ("mem = 0.5", Size(0, 0.5, 0)),
        ("cpu=1.5", Size(1.5, 0, 0)),
    ],
)
def test_what_is_a_size(text: str | None, size: Size) -> None:
    assert parse(text) == size


@pytest.mark.parametrize(
    "text", ["8", "cpu=", "cpu=x", "cpu=0", "cpu=-1", "gpu=1.5", "ram=3", "cpu=1,cpu=2", "cpu=nan", "mem=32GB"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.hint is not None
    assert "cpu=8" in caught.value.hint


def test_needs_only_add() -> None:
    assert parse("cpu=8").at_least(Needs(cpus=2, memory_gb=4)) == Size(8, 4, 0)
    assert str(Size(1, 0.5, 2)) == "1 CPU, 0.5 GB, 2 GPUs"
    assert str(Size()) == ""
