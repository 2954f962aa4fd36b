"""Environments of runs that had no lock: the recorded versions, or a list of what cannot be had."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dsenv.agent.schema import Distribution
from dsenv.config import paths
from dsenv.envs import install
from dsenv.errors import InstallError
from dsenv.events import Cancel, Event, Notice, ignore
from dsenv.testing.index import PackageIndex, write_wheel

FULL = sys.version.split()[0]


def rebuild(
    distributions: Sequence[Distribution], python: str = FULL, events: list[Event] | None = None
) -> install.Environment:
    emit = ignore if events is None else events.append
    return install.from_distributions(distributions, python, emit=emit, cancel=Cancel())


def versions(environment: install.Environment) -> dict[str, str]:
    code = "import importlib.metadata as m; print({d.name: d.version for d in m.distributions()})"
    done = subprocess.run([environment.python, "-c", code], check=True, capture_output=True, text=True)
    return dict(eval(done.stdout))


def test_exactly_the_recorded_versions_are_installed(index: PackageIndex) -> None:
    # beta needs alpha, but the run had none: neither has the environment.
    made = rebuild([{"name": "Beta", "version": "1.5"}])
    assert versions(made) == {"beta": "1.5"}
    assert versions(rebuild([{"name": "alpha", "version": "1.0"}, {"name": "beta", "version": "1.5"}])) == {
        "alpha": "1.0",
        "beta": "1.5",
    }


def test_the_second_time_nothing_is_asked(index: PackageIndex) -> None:
    rebuild([{"name": "alpha", "version": "1.0"}])
    index.requests.clear()
    assert rebuild([{"name": "alpha", "version": "1.0"}]).rung == "present"
    assert index.requests == []
    (kept,) = (paths.cache_dir() / "recorded").glob("*.toml")
    kept.write_text("damaged")
    assert rebuild([{"name": "alpha", "version": "1.0"}]).rung == "present"


def test_another_patch_serves_where_the_recorded_one_is_missing(index: PackageIndex) -> None:
    minor = ".".join(FULL.split(".")[:2])
    made = rebuild([{"name": "alpha", "version": "1.0"}], f"{minor}.99")
    assert made.python_version.startswith(minor)


def test_everything_that_cannot_be_had_is_listed(index: PackageIndex) -> None:
    wanted: list[Distribution] = [
        {"name": "alpha", "version": "9.9"},
        {"name": "beta", "version": "1.5"},
        {"name": "unheard-of", "version": "1"},
    ]
    with pytest.raises(InstallError, match="2 of the recorded packages") as caught:
        rebuild(wanted)
    lines = (caught.value.detail or "").splitlines()
    assert [line.split(":")[0] for line in lines] == ["alpha==9.9", "unheard-of==1"]


def test_what_no_index_has_is_listed_before_anything_is_asked(index: PackageIndex) -> None:
    wanted: list[Distribution] = [
        {"name": "mine", "version": "1", "url": "file:///home/someone/mine"},
        {"name": "odd", "version": "not a version"},
    ]
    with pytest.raises(InstallError, match="2 of the recorded packages") as caught:
        rebuild(wanted)
    assert "was installed from file:///home/someone/mine" in (caught.value.detail or "")
    assert index.requests == []


def test_an_editable_package_comes_from_the_recorded_tree(index: PackageIndex) -> None:
    events: list[Event] = []
    wanted: list[Distribution] = [
        {"name": "alpha", "version": "1.0"},
        {"name": "project", "version": "0", "url": "file:///gone", "editable": True},
    ]
    assert versions(rebuild(wanted, events=events)) == {"alpha": "1.0"}
    assert any(isinstance(event, Notice) and "project was installed as editable" in event.message for event in events)


def test_a_wheel_from_an_address_is_fetched_again(index: PackageIndex, tmp_path: Path) -> None:
    write_wheel(index.folder, "direct", "3.0")
    address = index.url.replace("/simple", "/files/direct-3.0-py3-none-any.whl")
    made = rebuild([{"name": "direct", "version": "3.0", "url": address}])
    assert versions(made) == {"direct": "3.0"}
    with pytest.raises(InstallError) as caught:
        rebuild([{"name": "direct", "version": "4.0", "url": address.replace("3.0", "4.0")}])
    assert "cannot download" in (caught.value.detail or "")
