"""What is decided about the conditions of a run, for machines that this one is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.workflows.reproduce import numbers
from dsenv.workflows.reproduce.conditions import Account, conditions
from dsenv.workflows.reproduce.model import Means

ALL = Means(namespace=True, memory="cgroup", quota=True, affinity=True)
HERE: dict[str, Any] = {
    "limits": {"memory": 16 << 30, "ulimit": {"nofile": [1024, 4096], "stack": [8 << 20, -1], "core": [0, -1]}},
    "cpu": {"count": 8, "usable": 8, "flags": ["avx2", "fma", "sse4_2", "sse2"]},
    "locale": {"zone": "Etc/UTC", "rules": "UTC0", "offset": 0},
}


def decide(means: Means = ALL, clock: bool = False, **there: Any) -> Account:
    record = {"fingerprint": there, "started": 1_700_000_000_000_000, "umask": 0o027}
    return conditions(record, HERE, means, clock)


def notes(account: Account, what: str, done: bool = True) -> dict[str, str]:
    return {item.name: item.note for item in (account.restored if done else account.lost) if item.what == what}


def test_a_machine_that_is_the_same_needs_nothing() -> None:
    account = conditions({"fingerprint": HERE}, HERE, ALL, clock=False)
    assert (account.restored, account.lost) == ([], [])
    assert account.conditions == Account(account.conditions.__class__()).conditions


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        ([64, 64], (64, 64), "open files: 64, as recorded"),
        ([2048, -1], (2048, -1), "open files: 2048, as recorded"),
        ([9999, 9999], (4096, 9999), ""),
        ([-1, -1], (4096, -1), ""),
    ],
)
def test_limits_are_set_as_far_as_they_may_be(there: list[int], wanted: tuple[int, int], said: str) -> None:
    account = decide(limits={"ulimit": {"nofile": there, "core": [-1, -1]}})
    assert account.conditions.ulimits == {"nofile": wanted}
    assert notes(account, "limits").get("ulimit nofile", "") == said
    lost = notes(account, "limits", done=False)
    assert bool(lost) is not bool(said)
    assert all("at most 4096 here" in note for note in lost.values())


def test_memory_and_its_kill_mode() -> None:
    account = decide(limits={"memory_limit": 1 << 30, "memory_kill": "group"})
    held = account.conditions
    assert (held.memory, held.memory_kill, held.memory_by) == (1 << 30, "group", "cgroup")
    assert "all its processes" in notes(account, "limits")["memory"]
    record = {"signature": {"cause": "out-of-memory"}, "fingerprint": {"limits": {"memory": 8 << 30}}}
    assert conditions(record, HERE, ALL, clock=False).conditions.memory == 8 << 30
    record["signature"] = {"cause": None}
    assert conditions(record, HERE, ALL, clock=False).conditions.memory == 0
    imitated = decide(Means(memory="watch"), limits={"memory_limit": 1 << 30})
    assert "imitated" in notes(imitated, "limits")["memory"]


def test_a_quota_without_control_groups_is_said() -> None:
    assert decide(limits={"cpu_limit": 1.5}).conditions.quota == 1.5
    account = decide(Means(), limits={"cpu_limit": 1.5})
    assert account.conditions.quota == 0 and "only its speed" in notes(account, "limits", done=False)["CPU quota"]


def test_processors() -> None:
    fewer = decide(cpu={"count": 8, "usable": 2}).conditions
    assert (fewer.affinity, fewer.usable, fewer.cpu_count) == (2, 0, 0)
    more = decide(cpu={"count": 64, "usable": 64})
    assert (more.conditions.affinity, more.conditions.usable, more.conditions.cpu_count) == (0, 64, 64)
    assert "64 there, 8 here" in notes(more, "cpu", done=False)["processors"]


@pytest.mark.parametrize(
    ("there", "variable"),
    [
        ({"zone": "Etc/UTC", "rules": "UTC0", "offset": 0}, None),
        ({"zone": "Europe/Oslo", "rules": "XXT-9"}, "XXT-9"),  # its file says something else here
        ({"rules": "CET-1CEST,M3.5.0,M10.5.0/3"}, "CET-1CEST,M3.5.0,M10.5.0/3"),
        ({"timezone": "IST", "offset": 19800}, "<+0530>-5:30"),
        ({"timezone": "NST", "offset": -12600}, "<-0330>+3:30"),
        ({"TZ": "PST8PDT-made-up", "offset": -28800}, None),
    ],
)
def test_the_zone(there: dict[str, Any], variable: str | None) -> None:
    account = decide(locale=there)
    assert account.conditions.variables.get("TZ") == variable
    assert bool(notes(account, "timezone")) is (variable is not None)


def numeric(kernel: str, threads: int = 4) -> dict[str, Any]:
    library = {"file": "libopenblas.so", "kernel": kernel, "threads": threads}
    return {"numpy": "2.0", "simd": ["AVX2", "SSE"], "dispatch": ["AVX2", "AVX512F"], "libraries": [library]}


def test_kernel_features_and_threads_go_downwards_only() -> None:
    held = decide(numeric=numeric("Nehalem")).conditions
    assert held.variables == {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "4"),
    }
    assert held.threads == 4
    above = decide(numeric=numeric("SkylakeX"))
    assert "OPENBLAS_CORETYPE" not in above.conditions.variables
    assert "needs a machine with AVX512BW" in notes(above, "cpu", done=False)["blas kernel"]
    chosen = decide(numeric=numeric("Nehalem"), threads={"OMP_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Nehalem"})
    assert set(chosen.conditions.variables) == {"NPY_DISABLE_CPU_FEATURES"}


def test_what_turned_out_otherwise_is_found_afterwards() -> None:
    there, here = {"numeric": numeric("Zen")}, {"numeric": numeric("Haswell", 2)}
    assert numbers.unmet(there, here) == [("blas kernel", "Zen", "Haswell"), ("blas threads", "4", "2")]
    assert numbers.unmet(there, there) == []


def test_the_clock_when_it_is_asked_for() -> None:
    account = decide(clock=True)
    assert account.conditions.clock == 1_700_000_000_000_000
    assert notes(account, "clock") and notes(account, "clock", done=False)
    assert decide().conditions.clock == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = ("limits", "cpu", "locale", "numeric", "threads")
NAMES = ("memory_limit", "cpu_limit", "ulimit", "count", "usable", "flags", "zone", "rules", "offset", "missing",
         "libraries", "simd", "dispatch", "nofile", "memory_kill")  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(SECTIONS), JSON | st.dictionaries(st.sampled_from(NAMES), JSON)),
    st.dictionaries(st.sampled_from(("started", "umask", "signature")), JSON),
)
def test_a_record_with_anything_in_it_is_looked_at_without_an_error(there: Any, record: Any) -> None:
    account = conditions({**record, "fingerprint": there}, HERE, ALL, clock=True)
    held = account.conditions
    assert 0 <= held.memory < 1 << 60 and 0 <= held.cpu_count <= 1 << 16 and 0 <= held.threads <= 1 << 10
    assert all("\0" not in value and len(value) < 4096 for value in held.variables.values())
