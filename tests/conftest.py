"""Isolation for every test: a home of its own, no credentials, a fixed terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.lab.fixtures"]

# No database of examples: the checkout may be read-only, and a run must not depend on the one before.
settings.register_profile("dsenv", database=None, deadline=None)
settings.load_profile("dsenv")

_REMOVED = ("AWS_", "DSENV_", "XDG_", "PYTHON", "VIRTUAL_ENV", "CONDA", "SSH_", "LC_", "UV_")
_KEPT = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_CACHE_DIR", "PYTHONWARNINGS")


@pytest.fixture(autouse=True)
def isolation(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's is read or written. Returns the temporary home."""
    home = tmp_path_factory.mktemp("home")
    # The package cache is content-addressed and costs minutes to fill: tests share one that is not the user's.
    shared = Path(os.environ.get("DSENV_TEST_CACHE", tmp_path_factory.getbasetemp().parent / "dsenv-uv-cache"))
    for name in list(os.environ):
        if name.startswith(_REMOVED) and not name.startswith(_KEPT):
            monkeypatch.delenv(name)
    values = {
        "HOME": str(home),
        "UV_CACHE_DIR": str(shared),
        "DSENV_ENVS_DIR": str(home / "envs"),
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "LINES": "40",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "AWS_EC2_METADATA_DISABLED": "true",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.invalid",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.invalid",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    work = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(work)
    return home
