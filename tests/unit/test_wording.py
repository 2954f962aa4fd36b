"""Values in words, and nothing in them that a terminal would obey."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv import wording


@given(st.text(max_size=50), st.integers(min_value=1, max_value=20))
def test_a_shortened_text_fits_and_is_harmless(text: str, width: int) -> None:
    shown = wording.shorten(text, width)
    assert len(shown) <= width
    assert all(c.isprintable() or c == "\t" for c in shown)


def test_control_characters_become_visible() -> None:
    assert wording.printable("a\x1b[2J\nb") == "a\\x1b[2J\nb"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(5, "5 s ago"), (125, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago"), (-9, "0 s ago")],
)
def test_ago(seconds: int, expected: str) -> None:
    assert wording.ago(int((time.time() - seconds) * 1e6) - 1000) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (2048, "2.0 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")]
)
def test_size(count: int, expected: str) -> None:
    assert wording.size(count) == expected


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (None, "no failure"),
        ({"kind": "exception", "type": "ValueError", "message": "x"}, "ValueError: x"),
        ({"kind": "exception", "type": "KeyError", "message": ""}, "KeyError"),
        ({"kind": "signal", "signal": "SIGKILL", "cause": "out-of-memory"}, "SIGKILL (out-of-memory)"),
        ({"kind": "signal", "signal": "SIGSEGV", "cause": None}, "SIGSEGV"),
        ({"kind": "exit", "exit": 3}, "exit 3"),
    ],
)
def test_signatures(signature: dict[str, Any] | None, expected: str) -> None:
    assert wording.signature(signature) == expected


def test_a_failure_is_said_as_it_was_when_that_is_known() -> None:
    signature = {"kind": "exception", "type": "ValueError", "message": "row <n>"}
    assert (
        wording.failure(signature, {"exceptions": [{"type": "ValueError", "message": "row 7"}]}) == "ValueError: row 7"
    )
    assert wording.failure(signature, {"exceptions": [{"type": "ValueError"}]}) == "ValueError"
    assert wording.failure(signature, None) == "ValueError: row <n>"


def test_commands() -> None:
    assert wording.command("a", "b c", "$x") == "a 'b c' '$x'"
    assert wording.brief(["/opt/env/bin/python", "a.py"], 40) == "python a.py"
    assert wording.brief([], 40) == ""
    assert (wording.count(1, "run"), wording.count(2000, "run")) == ("1 run", "2,000 runs")


@pytest.mark.parametrize(
    ("item", "text", "had"),
    [
        ({"missing": True}, "was not there", True),
        ({"how": "listed", "entries": ["a", "b/"]}, "listed, 2 entries", True),
        ({"size": 9, "blob": "x"}, "9 B, kept", True),
        ({"size": 4, "blob": "x", "note": "only the first"}, "4 B, kept: only the first", True),
        ({"call": "HeadObject {}", "answer": "x"}, "HeadObject, its answer is kept", True),
        (
            {"size": 9, "note": "larger\x1b[2J"},
            f"9 B, not kept: {wording.printable(chr(27).join(['larger', '[2J']))}",
            False,
        ),
    ],
)
def test_an_input_says_what_is_known_of_it(item: dict[str, object], text: str, had: bool) -> None:
    assert wording.input_state(item) == (text, had)


def test_how_long_a_run_took_when_its_record_lacks_a_time() -> None:
    assert wording.took({"started": 1_000_000, "ended": 2_500_000}) == "1.5 s"
    assert (
        wording.took({"ended": 5}) == wording.took({"started": 5}) == wording.took({"started": 5, "ended": None}) == ""
    )
