"""Delta debugging, for every failure that depends on a set of things."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsenv.workflows.ddmin import ddmin

# A failure is there when all of one of these sets are present.
_CAUSES = st.lists(st.frozensets(st.integers(0, 29), max_size=4), min_size=1, max_size=3)


@given(_CAUSES, st.integers(0, 30))
def test_what_is_found_fails_and_nothing_of_it_can_go(causes: list[frozenset[int]], unresolved: int) -> None:
    tried: list[tuple[int, ...]] = []

    def oracle(items: tuple[int, ...]) -> bool | None:
        assert items not in tried, "the same subset is tried once"
        assert list(items) == sorted(set(items))
        tried.append(items)
        if unresolved in items and len(items) % 2:
            return None
        return any(cause <= set(items) for cause in causes)

    found = ddmin(range(30), oracle)
    assert found.complete and found.trials == len(tried)
    assert len(found.items) == 30 or oracle_of(causes, found.items)
    tried.clear()
    assert not [item for item in found.items if oracle(tuple(other for other in found.items if other != item)) is True]


def oracle_of(causes: list[frozenset[int]], items: tuple[int, ...]) -> bool:
    return any(cause <= set(items) for cause in causes)


@given(_CAUSES, st.integers(0, 12))
def test_a_budget_ends_the_search_with_something_that_fails(causes: list[frozenset[int]], budget: int) -> None:
    asked = iter(range(budget + 1))
    found = ddmin(range(30), lambda items: oracle_of(causes, items), go_on=lambda: next(asked) < budget)
    assert found.trials <= budget
    assert oracle_of(causes, found.items)


def test_one_line_of_ten_thousand_takes_some_thirty_trials() -> None:
    found = ddmin(range(10_000), lambda items: 7_777 in items)
    assert found.items == (7_777,)
    assert found.trials < 40


def test_nothing_at_all_may_be_enough() -> None:
    found = ddmin(["a", "b"], lambda items: True)
    assert (found.items, found.complete, found.trials) == ((), True, 1)
    assert ddmin([], lambda items: False).items == ()
