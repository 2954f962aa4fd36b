"""What can be imported, read from metadata folders; and whether that is what a lock says."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path

import pytest

from dsenv.agent import distributions
from dsenv.agent.schema import Distribution


def install(site: Path, name: str, version: str, origin: object = None, installer: str = "uv") -> Path:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: decoy\n")
    (folder / "INSTALLER").write_text(installer + "\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))
    return folder


def test_names_versions_and_origins(tmp_path: Path) -> None:
    install(tmp_path, "Alpha-Beta", "1.0")
    install(tmp_path, "local", "2", {"url": "file:///src/local", "dir_info": {"editable": True}})
    git = {"url": "https://user:token@example.invalid/r.git?x=token", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    install(tmp_path, "vcs", "3", git)
    assert distributions.scan([str(tmp_path)]) == [
        {"name": "Alpha-Beta", "version": "1.0", "installer": "uv"},
        {"name": "local", "version": "2", "installer": "uv", "url": "file:///src/local", "editable": True},
        {"name": "vcs", "version": "3", "installer": "uv", "url": "https://example.invalid/r.git", "commit": "abc"},
    ]


def test_of_two_with_one_name_the_first_on_the_path_counts(tmp_path: Path) -> None:
    install(tmp_path / "a", "same", "1")
    install(tmp_path / "b", "Same", "2")
    found = distributions.scan([str(tmp_path / "b"), str(tmp_path / "a"), str(tmp_path / "b")])
    assert [(item["name"], item["version"]) for item in found] == [("Same", "2")]


def test_old_and_broken_metadata(tmp_path: Path) -> None:
    egg = tmp_path / "old.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Name: old\nVersion: 0.1\n")
    (tmp_path / "flat.egg-info").write_text("Name: flat\nVersion: 0.2\n")
    (tmp_path / "empty.dist-info").mkdir()
    install(tmp_path, "odd", "1", "{not json")
    install(tmp_path, "odder", "1", ["a", "list"])
    found = distributions.scan([str(tmp_path), "/nowhere", str(tmp_path / "flat.egg-info")])
    assert [item["name"] for item in found] == ["flat", "odd", "odder", "old"]
    assert all("url" not in item for item in found)


def test_it_finds_what_importlib_finds_and_is_fast() -> None:
    distributions.scan(sys.path)
    begun = time.perf_counter()
    found = distributions.scan(sys.path)
    took = time.perf_counter() - begun
    names = {distributions.canonical(item["name"]) for item in found}
    expected = {
        distributions.canonical(item.metadata["Name"])
        for item in importlib.metadata.distributions()
        if item.metadata["Name"]
    }
    assert names == expected
    assert took / len(found) < 0.001


LOCK = b"""lock-version = "1.0"

[[packages]]
name = "alpha"
version = "1.0"
wheels = [
    { name = "alpha-1.0-py3-none-any.whl", url = "x" },
]

[[packages]]
name = "colorama"
version = "0.4"
marker = "sys_platform == 'win32'"
wheels = []

[tool.dsenv]
id = "%s"
format = 1
""" % (b"ab" * 32)


def test_facts_of_a_lock_without_a_toml_reader() -> None:
    assert distributions.locked(LOCK) == {"alpha": ("1.0", True), "colorama": ("0.4", False)}
    assert distributions.lock_id(LOCK) == "ab" * 32
    assert distributions.lock_id(b"[tool.other]\n") is None


@pytest.mark.parametrize(
    ("present", "satisfied"),
    [
        ([("Alpha", "1.0")], True),
        ([("alpha", "1.0"), ("extra", "9")], True),
        ([("alpha", "1.0"), ("colorama", "0.4")], True),
        ([("alpha", "1.0"), ("colorama", "0.5")], False),
        ([("alpha", "1.1")], False),
        ([], False),
    ],
)
def test_whether_a_lock_is_satisfied(present: list[tuple[str, str]], satisfied: bool) -> None:
    items: list[Distribution] = [{"name": name, "version": version} for name, version in present]
    assert distributions.satisfied(LOCK, items) is satisfied
