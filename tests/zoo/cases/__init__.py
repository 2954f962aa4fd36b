"""All programs of the zoo, by kind; a module of this folder is a kind."""

from __future__ import annotations

from tests.zoo.case import Case
from tests.zoo.cases import basic, limits

CASES: tuple[Case, ...] = (*basic.CASES, *limits.CASES)
