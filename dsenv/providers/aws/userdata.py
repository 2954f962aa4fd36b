"""What an instance does when it boots, before anybody connects.

A hook that cloud-init runs first and at each boot: the timers that switch the machine off, our keys, the system
packages in the background. Then settings for cloud-init itself. All of it is visible to everybody on the machine, so
the host key in it serves for the first contact only.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import re
import shlex
from collections.abc import Sequence

from dsenv import resources
from dsenv.errors import ConfigError, ProviderError
from dsenv.models.machine import Limits
from dsenv.providers import watch
from dsenv.providers.aws.images import OWN_USER
from dsenv.providers.watch import MachineFile

MAX_BYTES = 16384
PACKAGES_STATUS = "/var/lib/dsenv/packages.status"
_BOUNDARY = "=dsenv="
_END = "DSENV_END_OF_FILE"
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
# What must not change when the limits do: the timers are set anew over SSH, and a later boot keeps that.
_ONCE = ("/etc/dsenv/", "/etc/systemd/system/dsenv-life.timer", "/etc/systemd/system/dsenv-watch.timer")


@dataclasses.dataclass(frozen=True)
class Boot:
    """What goes into user data."""

    user: str
    client_key: str  # the public half, "ssh-ed25519 AAAA..."
    host_key: str  # the private half, in OpenSSH's format
    host_key_public: str
    limits: Limits
    packages: tuple[str, ...] = ()


def build(boot: Boot) -> bytes:
    """The user data, compressed; the same for the same input. Raises ProviderError when it does not fit."""
    lines = ["MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"', ""]
    for kind, text in (("cloud-boothook", hook(boot)), ("cloud-config", _settings(boot))):
        lines += [f"--{_BOUNDARY}", f'Content-Type: text/{kind}; charset="utf-8"', "Content-Transfer-Encoding: 8bit"]
        lines += ["", text]
    lines += [f"--{_BOUNDARY}--", ""]
    data = gzip.compress("\n".join(lines).encode("utf-8", "surrogateescape"), 9, mtime=0)
    if len(data) > MAX_BYTES:
        raise ProviderError(
            f"the user data of the instance is {len(data)} bytes, {len(data) - MAX_BYTES} more than EC2 takes",
            hint="declare fewer packages in [environment] apt",
        )
    return data


def hook(boot: Boot) -> str:
    """The shell script that runs first at each boot. Each part stands alone: one that fails ends no other."""
    script = (resources.templates() / "aws" / "boothook.sh").read_text(encoding="utf-8")
    files = [_written(file) for file in watch.files(boot.limits)]
    values = {
        "write": (resources.templates() / "aws" / "write.sh").read_text(encoding="utf-8"),
        "files": "".join(files),
        # The hook is part of the boot that these units wait for: to wait for them would be for ever.
        "start": "\n".join(f"    {shlex.join([line[0], '--no-block', *line[1:]])}" for line in watch.START),
        "loop": watch.LOOP,
        "user": shlex.quote(boot.user),
        "client_key": shlex.quote(boot.client_key),
        "host_key": boot.host_key.rstrip("\n"),
        "host_key_public": shlex.quote(boot.host_key_public),
        "packages": shlex.join(checked(boot.packages)),
        "packages_script": _written(
            MachineFile(
                "/usr/local/lib/dsenv/packages", (resources.templates() / "aws" / "packages.sh").read_bytes(), 0o755
            )
        ),
    }
    for name, value in values.items():
        script = script.replace(f"@{name}@", value)
    return script


def new_limits(limits: Limits) -> str:
    """A shell script for root that sets the timers of a running machine anew."""
    files = [file for file in watch.files(limits) if file.path.startswith(_ONCE)]
    start = "\n".join(shlex.join(line) for line in watch.START)
    restart = "systemctl restart dsenv-watch.timer dsenv-life.timer"
    script = (resources.templates() / "aws" / "write.sh").read_text(encoding="utf-8")
    written = "".join(_written(file).replace("once ", "always ", 1) for file in files)
    return f"set -e\n{script}\n{written}\nif [ -d /run/systemd/system ]; then\n{start}\n{restart}\nfi\n"


def checked(packages: Sequence[str]) -> list[str]:
    """Names of packages that are safe as words. Raises ConfigError."""
    for name in packages:
        if not _PACKAGE.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a system package", hint="change `apt` in [environment]")
    return list(packages)


def _written(file: MachineFile) -> str:
    """Lines that write one file in one step."""
    text = file.data.decode("utf-8", "surrogateescape")
    plain = (text.endswith("\n") or not text) and _END not in text and "\r" not in text and "\0" not in text
    body = text if plain else base64.encodebytes(file.data).decode()
    word = "once" if file.path.startswith(_ONCE) else "always"
    decode = "" if plain else " base64"
    return f"{word} {shlex.quote(file.path)} {file.mode:o}{decode} <<'{_END}'\n{body}{_END}\n"


def _settings(boot: Boot) -> str:
    """For cloud-init: the host key of the first contact, and who may log in."""
    private = "\n".join(f"    {line}" for line in boot.host_key.strip().splitlines())
    lines = [
        "#cloud-config",
        "ssh_deletekeys: true",
        "ssh_keys:",
        "  ed25519_private: |",
        private,
        f"  ed25519_public: {boot.host_key_public}",
        "ssh_authorized_keys:",
        f"  - {boot.client_key}",
        "package_update: false",
        "package_upgrade: false",
    ]
    if boot.user == OWN_USER:
        lines += [
            "users:",
            "  - default",
            f"  - name: {OWN_USER}",
            "    shell: /bin/bash",
            "    lock_passwd: true",
            '    sudo: "ALL=(ALL) NOPASSWD:ALL"',
            "    ssh_authorized_keys:",
            f"      - {boot.client_key}",
        ]
    return "\n".join([*lines, ""])
