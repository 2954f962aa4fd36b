"""A workstation for tests that needs no server: a folder, and the agent of this installation as a child process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dsenv.models.machine import Identity, Machine, State
from dsenv.sync.client import AgentClient
from dsenv.transports.base import Channel, Pty
from dsenv.transports.local import LocalTransport


class ModuleTransport(LocalTransport):
    """Starts the agent as `-m dsenv.agent` of this installation, so that its coverage can be taken."""

    def open_channel(self, argv: Sequence[str], *, pty: Pty | None = None) -> Channel:
        if argv[0] == "sh" and argv[2].endswith("serve"):
            argv = [sys.executable, "-m", "dsenv.agent", "serve"]
        return super().open_channel(argv, pty=pty)


class Workstation:
    """A home folder, the machine that describes it, and conversations with its agent."""

    def __init__(self, home: Path, project: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.machine = Machine(
            identity=Identity(project, "proj", "default"),
            provider="fake",
            state=State.RUNNING,
            alias="dsenv-proj-default",
            created=1,
            home=str(home),
            python=sys.executable,
            shares_files=True,
            endpoint=None,
        )

    @property
    def tree(self) -> Path:
        """Where the project's files are over there."""
        return self.home / "proj"

    def transport(self) -> LocalTransport:
        """A new connection."""
        return ModuleTransport(self.home)

    def agent(self) -> AgentClient:
        """A new conversation with the agent."""
        return AgentClient(self.transport(), self.machine)
