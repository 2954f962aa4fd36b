"""`code`: the editor that is there is started on the alias; without one there is a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsenv import events
from dsenv.errors import TransportError
from dsenv.events import Cancel
from dsenv.workflows import code as workflow
from dsenv.workflows import up
from dsenv.workflows.target import Target
from tests.unit.workflows.conftest import Make


@pytest.fixture
def target(make_target: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    target = make_target()
    up.up(target, emit=events.ignore, cancel=Cancel())
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return target


def _editor(target: Target, name: str, script: str) -> None:
    file = Path(os.environ["PATH"].partition(":")[0], name)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_a_link_where_there_is_no_editor(target: Target) -> None:
    result = workflow.code(target)
    assert result.opened is None
    assert result.link == f"vscode://vscode-remote/ssh-remote+dsenv-proj-default{target.machine().tree}"


def test_the_installed_editor_is_started(target: Target, tmp_path: Path) -> None:
    _editor(target, "cursor", f'echo "$@" > {tmp_path}/said')
    result = workflow.code(target)
    assert result.editor == "cursor"
    assert (tmp_path / "said").read_text().split() == [
        "--remote",
        "ssh-remote+dsenv-proj-default",
        target.machine().tree,
    ]
    assert workflow.code(target, start=False).opened is None


def test_an_editor_that_fails_leaves_the_link(target: Target) -> None:
    _editor(target, "code", "echo no display >&2; exit 3")
    with pytest.raises(TransportError, match="ended with 3") as caught:
        workflow.code(target, "vscode")
    assert caught.value.hint
    assert "vscode://" in caught.value.hint
    assert caught.value.detail == "no display\n"


def test_pycharm_is_reached_by_its_gateway(target: Target) -> None:
    link = workflow.code(target, "pycharm").link
    assert link.startswith("jetbrains-gateway://connect#type=ssh&deploy=true&host=dsenv-proj-default&port=22&user=fake")
