"""Folders that the agent and the CLI must agree on."""

from __future__ import annotations

import os

from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Mapping


def data_dir(environ: Mapping[str, str]) -> str:
    """The user's data folder for dsenv, by the XDG base directory specification."""
    base = environ.get("XDG_DATA_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "share")
    return os.path.join(base, "dsenv")


def cache_dir(environ: Mapping[str, str]) -> str:
    """The user's cache folder for dsenv: what is in it can be made again."""
    base = environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".cache")
    return os.path.join(base, "dsenv")


def default_store(environ: Mapping[str, str]) -> str:
    """The folder that holds records when neither --store nor DSENV_STORE nor dsenv.toml names a store."""
    return os.path.join(data_dir(environ), "runs")
