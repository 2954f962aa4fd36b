"""What is on a host: one folder a workstation, below one of ours in the account's home, each with a marker."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsenv import resources
from dsenv.errors import ProviderError
from dsenv.models.machine import Identity
from dsenv.transports.base import Transport

FOLDER = ".local/share/dsenv/hosted"
_VERSION = 1
_NO_PYTHON, _STRANGE = 91, 92

# Prints the account's home, then the markers, a line each.
_LOOK = f"""cd && pwd || exit 1
for file in {FOLDER}/*/dsenv.json; do
    [ -f "$file" ] && cat "$file" && echo
done
exit 0
"""
# Prints the first Python that can run the agent.
_PYTHON = f"""for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
    found=$(command -v "$name") || continue
    "$found" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && echo "$found" && exit 0
done
exit {_NO_PYTHON}
"""
# Arguments: id, marker. Whoever links a marker first has made the workstation. Prints the one that is there.
_MAKE = f"""set -e
cd
umask 077
folder={FOLDER}/$1
mkdir -p {FOLDER}
if [ -L "$folder" ]; then exit {_STRANGE}; fi
mkdir -p "$folder"
if ! [ -s "$folder/dsenv.json" ]; then
    printf '%s' "$2" >"$folder/dsenv.json.$$"
    ln "$folder/dsenv.json.$$" "$folder/dsenv.json" 2>/dev/null || true
    rm -f "$folder/dsenv.json.$$"
fi
mkdir -p "$folder/home"
cat "$folder/dsenv.json"
"""


@dataclasses.dataclass(frozen=True)
class Hosted:
    """A workstation as its host describes it."""

    identity: Identity
    created: int
    python: str
    folder: str  # absolute, there

    @property
    def home(self) -> str:
        return f"{self.folder}/home"


def look(transport: Transport) -> list[Hosted]:
    """All workstations of this account. What is no marker of ours is passed over. Raises TransportError."""
    home, _, rest = _text(transport.run(["sh", "-c", _LOOK]).check().stdout).partition("\n")
    return [hosted for line in rest.splitlines() if (hosted := _parsed(home, line))]


def make(transport: Transport, host: str, identity: Identity) -> Hosted:
    """Make the workstation's folder, or find it. Raises ProviderError, TransportError."""
    python = transport.run(["sh", "-c", _PYTHON])
    if python.code:
        raise ProviderError(
            f"{host} has no Python of at least 3.9", hint="install one there, for example: sudo apt-get install python3"
        )
    marker = {
        "version": _VERSION,
        "id": identity.id,
        "root": str(identity.root),
        "project": identity.project,
        "name": identity.name,
        "created": int(time.time() * 1e6),
        "python": _text(python.stdout).strip(),
    }
    made = transport.run(["sh", "-c", _MAKE, "sh", identity.id, json.dumps(marker)])
    if made.code == _STRANGE:
        raise ProviderError(
            f"on {host}, {FOLDER}/{identity.id} is a link, which is not followed", hint="remove it there"
        )
    if made.code:
        raise ProviderError(f"cannot make {FOLDER}/{identity.id} on {host}", detail=_text(made.stderr).strip() or None)
    found = next((item for item in look(transport) if item.identity.id == identity.id), None)
    if found is None:
        raise ProviderError(
            f"on {host}, {FOLDER}/{identity.id}/dsenv.json is damaged", hint="move that folder away there, then repeat"
        )
    return found


def retire(transport: Transport, host: str, hosted: Hosted) -> None:
    """End what runs in the workstation and remove its folder, with the agent that we bring. Raises ProviderError."""
    agent = f"{hosted.folder}/retire.pyz"
    transport.put(resources.agent_archive(), agent)
    done = transport.run([hosted.python, "-I", "-S", agent, "retire", hosted.folder, hosted.identity.id])
    if done.code:
        words = _text(done.stderr).strip()
        raise ProviderError(
            f"{host} could not remove the workstation: {words.splitlines()[-1] if words else done.code}",
            hint=f"remove what is left of it there: {hosted.folder}",
        )


def _parsed(home: str, line: str) -> Hosted | None:
    try:
        value: Any = json.loads(line)
        if value["version"] != _VERSION:
            return None
        identity = Identity(Path(value["root"]), str(value["project"]), str(value["name"]))
        if identity.id != value["id"]:
            return None
        return Hosted(identity, int(value["created"]), str(value["python"]), f"{home}/{FOLDER}/{identity.id}")
    except (KeyError, TypeError, ValueError):
        return None


def find(found: Sequence[Hosted], identity: Identity) -> Hosted | None:
    """The one that is meant."""
    return next((item for item in found if item.identity == identity), None)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
