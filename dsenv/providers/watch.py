"""What makes a machine switch itself off: the idle watch and the life time, as files for the machine.

The provider puts them there before anything else, and starts them. They need no connection to dsenv afterwards.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from importlib.resources import files as package_files

from dsenv import resources
from dsenv.agent.idle import limits as agent_limits
from dsenv.models.machine import Limits

HOME = "/usr/local/lib/dsenv/watch"
POWER_OFF = ("/usr/bin/systemctl", "poweroff")
# Starts the timers of a machine with systemd, and makes them start with it.
START = (
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", "--now", "dsenv-watch.timer", "dsenv-life.timer"),
)
LOOP = f"{HOME}/loop"  # in the background of a machine without systemd

_MAIN = b"import sys\n\nfrom dsenv.agent.idle.watch import main\n\nsys.exit(main(sys.argv[1:]))\n"
_NEVER_SECONDS = 50 * 365 * 86400
_EVERY_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class MachineFile:
    """A file of root's on a machine."""

    path: str
    data: bytes
    mode: int = 0o644


def files(limits: Limits, power_off: Sequence[str] = POWER_OFF) -> list[MachineFile]:
    """The watch itself, its limits and its timers. `power_off` is what switches this kind of machine off."""
    every = max(1, min(_EVERY_SECONDS, limits.idle_seconds // 4 or _EVERY_SECONDS))
    wanted = agent_limits.Limits(limits.idle_seconds, limits.max_seconds, list(power_off))
    found = [MachineFile(f"{HOME}/__main__.py", _MAIN), *_modules()]
    found += [MachineFile(f"{HOME}/{name}", _template(name), 0o755) for name in ("tick", "loop")]
    found += [
        MachineFile(agent_limits.FILE, agent_limits.as_json(wanted)),
        MachineFile("/etc/dsenv/limits.sh", _shell(limits, power_off, every)),
    ]
    fields = {
        "every": str(every),
        "max": str(limits.max_seconds or _NEVER_SECONDS),
        "power_off": shlex.join(power_off),
    }
    for unit in ("dsenv-watch.service", "dsenv-watch.timer", "dsenv-life.service", "dsenv-life.timer"):
        text = _template(unit).decode()
        for name, value in fields.items():
            text = text.replace(f"{{{name}}}", value)
        found.append(MachineFile(f"/etc/systemd/system/{unit}", text.encode()))
    return found


def _shell(limits: Limits, power_off: Sequence[str], every: int) -> bytes:
    values = (("idle_seconds", limits.idle_seconds), ("max_seconds", limits.max_seconds), ("every_seconds", every))
    lines = [f"{name}={value}" for name, value in values]
    return "\n".join([*lines, f"power_off() {{ {shlex.join(power_off)}; }}", ""]).encode()


def _modules() -> list[MachineFile]:
    package = package_files("dsenv")
    found = [MachineFile(f"{HOME}/dsenv/__init__.py", b""), MachineFile(f"{HOME}/dsenv/agent/__init__.py", b"")]
    for item in sorted((package / "agent" / "idle").iterdir(), key=lambda entry: entry.name):
        if item.name.endswith(".py"):
            found.append(MachineFile(f"{HOME}/dsenv/agent/idle/{item.name}", item.read_bytes()))
    return found


def _template(name: str) -> bytes:
    return (resources.templates() / "machine" / name).read_bytes()
