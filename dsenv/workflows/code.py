"""Open a workstation's files in an editor that works over SSH."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from urllib.parse import quote, urlencode

from dsenv.errors import TransportError
from dsenv.workflows import sshconfig
from dsenv.workflows.target import Target

# Editors that are VS Code: the command that starts one, and the scheme of its links.
_LIKE_VSCODE = {"vscode": ("code", "vscode"), "cursor": ("cursor", "cursor"), "windsurf": ("windsurf", "windsurf")}
_START_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Opened:
    """Where the files are, and how an editor gets there. `opened` is the command that was started, if any."""

    editor: str
    alias: str
    folder: str
    link: str
    opened: list[str] | None


def code(target: Target, editor: str | None = None, *, start: bool = True) -> Opened:
    """Start the editor on the workstation's files; without one on this machine, only the link is there.

    `editor` is vscode, cursor, windsurf or pycharm; default: the first that is installed. The alias stays true when
    the workstation's address changes. Raises WorkstationNotReadyError, and TransportError when the editor does not
    start.
    """
    machine = target.machine()
    alias = sshconfig.register(machine)
    chosen = editor or _installed()
    link, command = _ways(chosen, alias, machine.tree, machine.endpoint.user if machine.endpoint else "")
    program = shutil.which(command[0]) if command else None
    if not start or program is None:
        return Opened(chosen, alias, machine.tree, link, None)
    words = [program, *command[1:]]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TransportError(f"{command[0]} did not start: {error}", hint=f"open this link: {link}") from error
    if done.returncode:
        raise TransportError(
            f"{command[0]} ended with {done.returncode}",
            hint=f"open this link: {link}",
            detail=done.stderr[-1000:] or None,
        )
    return Opened(chosen, alias, machine.tree, link, words)


def _installed() -> str:
    return next((name for name, (command, _) in _LIKE_VSCODE.items() if shutil.which(command)), "vscode")


def _ways(editor: str, alias: str, folder: str, user: str) -> tuple[str, list[str]]:
    """The link, and the command, that open `folder` on the host `alias`. PyCharm has a link only."""
    if editor == "pycharm":
        fields = {"type": "ssh", "deploy": "true", "host": alias, "port": "22", "user": user, "projectPath": folder}
        return f"jetbrains-gateway://connect#{urlencode(fields, quote_via=quote)}", []
    command, scheme = _LIKE_VSCODE[editor]
    link = f"{scheme}://vscode-remote/ssh-remote+{quote(alias)}{quote(folder)}"
    return link, [command, "--remote", f"ssh-remote+{alias}", folder]
