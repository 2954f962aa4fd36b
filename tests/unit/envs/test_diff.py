"""Comparing places: levels, verdicts, reasons and fixes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.envs import diff

BASE: dict[str, Any] = {
    "python": {"version": "3.11.7", "implementation": "cpython", "openssl": "OpenSSL 3.0.19"},
    "os": {"system": "Linux", "machine": "x86_64", "libc": "glibc 2.36", "kernel": "6.1"},
    "cpu": {"model": "A", "flags": ["avx2", "sse2"], "count": 2, "usable": 2},
    "limits": {"memory": 8, "memory_limit": 4, "ulimit": {"nofile": [1024, 4096], "core": [0, -1]}},
    "threads": {"OMP_NUM_THREADS": "2"},
    "locale": {"LANG": "C.UTF-8", "encoding": "utf-8", "utf8_mode": 0, "offset": 0},
    "process": {"umask": "0022"},
    "env": ["HOME", "PATH"],
    "distributions": [{"name": "numpy", "version": "2.0"}, {"name": "pip", "version": "24"}],
    "content": "c" * 64,
    "numeric": {"libraries": [{"file": "libopenblas-12345678.so", "kernel": "Haswell", "threads": 2}]},
}
LOCK: dict[str, Any] = {
    "lock": {"id": "l" * 64, "platforms": ["linux-64"], "apt": ["libgomp1"], "libc": "glibc 2.28", "conditional": []},
    "python": {"version": "3.11", "implementation": "cpython"},
    "distributions": [{"name": "numpy", "version": "2.0"}],
}


def changed(*path: str, to: object) -> dict[str, Any]:
    facts = copy.deepcopy(BASE)
    place = facts
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return facts


def test_a_place_is_identical_to_itself() -> None:
    report = diff.compare(BASE, copy.deepcopy(BASE), names=("here", "there"))
    assert (report.verdict, report.differences, report.parity) == ("identical", (), True)
    assert report.digests["content"] == ("c" * 64, "c" * 64)


@pytest.mark.parametrize(
    ("b", "layer", "name", "verdict"),
    [
        (changed("os", "kernel", to="6.9"), "os", "kernel", "compatible"),
        (changed("os", "system", to="Darwin"), "os", "system", "different"),
        (changed("python", "openssl", to="OpenSSL 1.1"), "python", "openssl", "compatible"),
        (changed("python", "version", to="3.11.2"), "python", "version", "different"),
        (changed("python", "version", to="3.12.1"), "python", "version", "blocked"),
        (changed("python", "implementation", to="pypy"), "python", "implementation", "blocked"),
        (changed("cpu", "model", to="B"), "cpu", "model", "compatible"),
        (changed("cpu", "flags", to=["avx2", "avx512f", "sse2"]), "cpu", "features", "different"),
        (changed("limits", "memory_limit", to=2), "limits", "memory_limit", "different"),
        (changed("limits", "memory", to=16), "limits", "memory", "compatible"),
        (changed("limits", "ulimit", to={"nofile": [256, 4096]}), "limits", "ulimit nofile", "different"),
        (changed("threads", to={}), "threads", "OMP_NUM_THREADS", "different"),
        (changed("threads", to={"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "1"}),
         "threads", "PYTHONHASHSEED", "different"),
        (changed("locale", "encoding", to="ascii"), "locale", "encoding", "different"),
        (changed("locale", "LANG", to="C"), "locale", "LANG", "compatible"),
        (changed("process", "umask", to="0077"), "process", "umask", "compatible"),
        (changed("env", to=["HOME", "TOKEN"]), "env", "names", "compatible"),
        (changed("numeric", "libraries", to=[{"file": "libopenblas.so", "kernel": "SkylakeX"}]),
         "cpu", "blas kernel", "different"),
        (changed("distributions", to=[{"name": "NumPy", "version": "2.1"}]), "packages", "numpy", "different"),
        (changed("distributions", to=[{"name": "numpy", "version": "2.0"}]), "packages", "pip", "compatible"),
        (changed("changed", to=["numpy/x.py: edited"]), "packages", "edited files", "different"),
        (changed("content", to="d" * 64), "packages", "content", "different"),
    ],
)  # fmt: skip
def test_each_layer_knows_how_much_a_difference_matters(b: dict[str, Any], layer: str, name: str, verdict: str) -> None:
    report = diff.compare(BASE, b, names=("local", "big"))
    row = next(row for row in report.differences if row.name == name)
    assert (row.layer, report.verdict) == (layer, verdict)
    assert row.why
    assert row.fix
    assert row.a != row.b


def against_lock(change: Callable[[dict[str, Any]], object]) -> diff.Report:
    place = copy.deepcopy(BASE)
    place["apt"] = {"libgomp1": "12"}
    change(place)
    return diff.compare(place, LOCK, names=("local", "lock"))


def test_a_lock_is_compared_with_what_it_promises_only() -> None:
    report = against_lock(lambda place: None)
    assert [(row.name, row.level) for row in report.differences] == [("pip", "info")]
    assert report.digests["lock"] == (None, "l" * 64)


@pytest.mark.parametrize(
    ("change", "name", "fix"),
    [
        (lambda place: place["os"].update(libc="glibc 2.17"), "libc", "newer distribution"),
        (lambda place: place["os"].update(machine="aarch64"), "platform", 'add "linux-aarch64"'),
        (lambda place: place["apt"].update(libgomp1=None), "apt libgomp1", "apt-get install libgomp1"),
        (lambda place: place["python"].update(version="3.12.0"), "version", 'python = "3.11"'),
    ],
)
def test_what_keeps_a_lock_from_running_blocks(change: Callable[[dict[str, Any]], object], name: str, fix: str) -> None:
    report = against_lock(change)
    row = next(row for row in report.differences if row.name == name and row.level == "block")
    assert report.verdict == "blocked"
    assert fix in row.fix


def test_the_fix_follows_the_lock() -> None:
    report = against_lock(lambda place: place.update(distributions=[{"name": "extra", "version": "1"}]))
    fixes = {row.name: row.fix for row in report.differences}
    assert fixes == {"extra": "pip uninstall extra", "numpy": "pip install numpy==2.0"}
    other = diff.compare(LOCK, changed("distributions", to=[]), names=("lock", "big"))
    assert other.differences[0].fix == "dsenv up big"


def test_packages_of_other_platforms_and_editable_ones_are_no_difference() -> None:
    lock = copy.deepcopy(LOCK)
    lock["lock"]["conditional"] = ["Colorama"]
    lock["distributions"].append({"name": "colorama", "version": "0.4"})
    place = changed("distributions", to=[*LOCK["distributions"], {"name": "me", "version": "0", "editable": True}])
    report = diff.compare(place, lock)
    assert [(row.name, row.level) for row in report.differences] == [("me", "info")]


def test_the_same_version_of_another_commit_differs() -> None:
    sides = [changed("distributions", to=[{"name": "x", "version": "1", "commit": commit}]) for commit in "ab"]
    (row,) = diff.compare(*sides).differences
    assert (row.a, row.b) == ("1 a", "1 b")


def test_many_values_are_shortened() -> None:
    report = diff.compare(BASE, changed("env", to=["HOME", "PATH", *(f"V{n:03}" for n in range(40))]))
    (row,) = report.differences
    assert row.a is None
    assert (row.b or "").endswith("and 28 more")


layers = st.sampled_from(sorted(BASE))


@given(st.sets(layers), st.sets(layers))
def test_layers_that_one_side_lacks_are_not_guessed(a: set[str], b: set[str]) -> None:
    """Any part of a place compared with any other part of the same place shows no difference."""
    report = diff.compare({key: BASE[key] for key in a}, {key: BASE[key] for key in b})
    assert report.differences == ()


@given(layers, st.text(max_size=5))
def test_the_verdict_does_not_depend_on_the_side(layer: str, noise: str) -> None:
    other = copy.deepcopy(BASE)
    if isinstance(other[layer], dict):
        other[layer] = {key: (noise if isinstance(value, str) else value) for key, value in other[layer].items()}
    forth, back = diff.compare(BASE, other), diff.compare(other, BASE)
    assert forth.verdict == back.verdict
    assert [(row.name, row.a, row.b) for row in forth.differences] == [
        (row.name, row.b, row.a) for row in back.differences
    ]
