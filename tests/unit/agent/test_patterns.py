"""Patterns and digests that cost nothing until they are used."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dsenv
from dsenv.agent.digests import LARGE, sha256
from dsenv.agent.patterns import lazy, lazy_bytes


def test_a_pattern_is_as_the_compiled_one() -> None:
    pattern = lazy(r"(?P<word>[a-z]+)", re.IGNORECASE)
    assert [found.group("word") for found in pattern.finditer("One 2 three")] == ["One", "three"]
    assert pattern.sub("x", "One 2 three") == "x 2 x"
    assert pattern.fullmatch("one 2") is None
    assert lazy_bytes(rb"\d+").findall(b"1 22") == [b"1", b"22"]


def test_a_pattern_is_compiled_at_its_first_use() -> None:
    broken = lazy("(")
    with pytest.raises(re.error):
        broken.search("(")


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1])
def test_digests_are_those_of_hashlib(size: int) -> None:
    data = bytes(size)
    assert sha256(data).hexdigest() == hashlib.sha256(data).hexdigest()
    grown = sha256(size=size)
    grown.update(data)
    assert grown.digest() == hashlib.sha256(data).digest()


def test_small_digests_do_not_load_openssl() -> None:
    code = "import sys; from dsenv.agent.digests import sha256; sha256(b'x').digest(); print('_hashlib' in sys.modules)"
    place = {"PYTHONPATH": str(Path(dsenv.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True, env=place)
    assert done.stdout == "False\n"
