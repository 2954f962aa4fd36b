"""The environment of a command that runs in a prefix."""

from __future__ import annotations

from dsenv.agent import activate


def test_the_environment_comes_first_and_the_former_one_is_gone() -> None:
    base = {"PATH": "/old/bin:/usr/bin", "VIRTUAL_ENV": "/old", "PYTHONHOME": "/x", "VIRTUAL_ENV_PROMPT": "p", "A": "b"}
    values = activate.environ("/envs/abc", base)
    assert values == {"PATH": "/envs/abc/bin:/usr/bin", "VIRTUAL_ENV": "/envs/abc", "A": "b"}
    assert base["VIRTUAL_ENV"] == "/old"


def test_activating_twice_is_activating_once() -> None:
    once = activate.environ("/envs/abc", {"PATH": "/usr/bin"})
    assert activate.environ("/envs/abc", once) == once


def test_without_a_path_the_systems_is_kept() -> None:
    assert activate.environ("/e", {})["PATH"] == "/e/bin:/usr/local/bin:/usr/bin:/bin"
