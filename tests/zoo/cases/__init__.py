"""All programs of the zoo, by kind; a module of this folder is a kind."""

from __future__ import annotations

from tests.zoo.case import Case
from tests.zoo.cases import basic, data, failures, inputs, limits, randomness, signals

CASES: tuple[Case, ...] = (
    *basic.CASES,
    *data.CASES,
    *failures.CASES,
    *inputs.CASES,
    *limits.CASES,
    *randomness.CASES,
    *signals.CASES,
)
