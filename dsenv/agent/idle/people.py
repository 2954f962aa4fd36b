"""Who is connected: SSH sessions with and without a terminal, and what runs in terminals that were left behind."""

from __future__ import annotations

import re
from typing import List, NamedTuple

from dsenv.agent.idle.table import Process, Table

# What OpenSSH calls the process of an authenticated connection: "sshd: user@pts/0", "sshd: user@notty", "sshd: user";
# from 9.8 on "sshd-session: ...". The privileged half has "[priv]" behind the name; who has not shown a key yet, as
# those who try every address of the internet, is "[accepted]" or "[net]".
_SESSION = re.compile(r"^sshd(?:-session)?: ([^\s\[]\S*?)(?:@(\S+))?$")
_SHELLS = frozenset({"sh", "bash", "zsh", "fish", "dash", "ksh", "tcsh", "csh", "login"})


class Reason(NamedTuple):
    """Why the machine is kept up. `kind` is a word for programs; no arguments are told: they may hold secrets."""

    kind: str
    what: str


def is_agent(process: Process) -> bool:
    """Whether it is an agent of dsenv that serves a client, or the supervisor that it became."""
    return "serve" in process.words and (process.says("dsenv", ".pyz") or "dsenv.agent" in process.words)


def is_session(process: Process) -> bool:
    """Whether it is the process of somebody's SSH connection."""
    return bool(_SESSION.match(" ".join(process.words).strip()))


def sessions(table: Table) -> List[Reason]:
    """SSH connections, an editor's too. One that only carries dsenv's agent is none: its runs count by themselves."""
    found = []
    for process in table:
        match = _SESSION.match(" ".join(process.words).strip())
        if not match:
            continue
        inside = table.children(process)
        if inside and all(_only_agent(table, child) for child in inside):
            continue
        terminal = match.group(2) or ""
        where = "" if terminal in ("", "notty") else " on " + terminal
        found.append(Reason("ssh", "an SSH session of {}{}".format(match.group(1), where)))
    return found


def _only_agent(table: Table, process: Process) -> bool:
    """An agent, or the shell that an sshd starts it with. A supervisor has left the session by then."""
    if is_agent(process):
        return True
    inside = table.children(process)
    return process.name in _SHELLS and bool(inside) and all(is_agent(child) for child in inside)


def terminals(table: Table) -> List[Reason]:
    """Commands in tmux and screen, whether somebody looks or not. A shell that waits for input is none."""
    found = []
    for process in table:
        if not process.name.startswith(("tmux: server", "screen", "SCREEN")):
            continue
        for inside in table.below(process):
            waits = inside.name.lstrip("-") in _SHELLS and not _script(inside)
            if not waits and not is_session(inside):
                found.append(Reason("terminal", "{} in {}".format(inside.name, process.name.split(":")[0].lower())))
                break
    return found


def _script(shell: Process) -> bool:
    """Whether a shell runs a script and does not wait for somebody to type."""
    return any(not word.startswith("-") for word in shell.words[1:])
