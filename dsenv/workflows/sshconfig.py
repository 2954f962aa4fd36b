"""`ssh`, rsync and editors find our workstations by name: one file of ours, included by the user's configuration."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from dsenv.config import paths
from dsenv.errors import StateError
from dsenv.models.machine import Identity, Machine
from dsenv.state import store
from dsenv.state.lock import exclusive
from dsenv.transports import openssh

_VERSION = 1
_MARK = "# Added by dsenv for its workstations; removed with the last of them."

_HOST = """Host {alias}
  HostName {host}
  Port {port}
  User {user}
  IdentityFile "{key}"
  IdentitiesOnly yes
  HostKeyAlias {host_key_alias}
  UserKnownHostsFile "{known_hosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ForwardAgent no
"""
_PROXY = "  ProxyCommand {command}\n"
# Where the way to a machine, and who is let in, is said. `ssh -G` has seen to Host, Match and Include.
_REPEATED = ("IdentityFile", "CertificateFile")
_COPIED = (
    "HostName", "Port", "User", *_REPEATED, "IdentitiesOnly", "IdentityAgent", "PKCS11Provider", "SecurityKeyProvider",
    "ProxyJump", "ProxyCommand", "HostKeyAlias", "UserKnownHostsFile", "GlobalKnownHostsFile", "StrictHostKeyChecking",
    "GSSAPIAuthentication", "AddressFamily", "BindAddress", "ForwardAgent",
)  # fmt: skip


def folder() -> Path:
    """Where our part of the ssh configuration is."""
    return paths.data_dir() / "ssh"


def register(machine: Machine) -> str:
    """Make `ssh ALIAS` work for a running workstation; returns the alias. Raises StateError."""
    endpoint = machine.endpoint
    if endpoint is None:
        return machine.alias
    fields = {**dataclasses.asdict(endpoint), "key_file": str(endpoint.key_file)}
    if not endpoint.host_key:
        fields["lines"] = _as_the_users(machine.region)

    def add(hosts: dict[str, dict[str, object]]) -> str:
        taken = {str(value["alias"]) for name, value in hosts.items() if name != machine.identity.id}
        alias = machine.alias
        if alias in taken:  # another project of the same name
            alias = f"dsenv-{machine.identity.id}"
        hosts[machine.identity.id] = {"alias": alias, **fields}
        return alias

    return _change(add)


def forget(identity: Identity) -> None:
    """Undo `register`, one that was broken off too. Raises StateError."""

    def remove(hosts: dict[str, dict[str, object]]) -> str:
        hosts.pop(identity.id, None)
        return ""

    _change(remove)


def alias_of(machine: Machine) -> str:
    """The alias that was registered, or the one that would be."""
    hosts = _read()
    return str(hosts.get(machine.identity.id, {}).get("alias", machine.alias))


def _read() -> dict[str, dict[str, object]]:
    value = store.read(folder() / "hosts.json", version=_VERSION) or {}
    hosts = value.get("hosts", {})
    return dict(hosts) if isinstance(hosts, dict) else {}


def _change(edit: Callable[[dict[str, dict[str, object]]], str]) -> str:
    try:
        paths.private(folder())
    except OSError as error:
        raise StateError(f"cannot make {folder()}: {error.strerror}") from error
    with exclusive(folder() / "lock", what="the ssh configuration"):
        hosts = _read()
        result = edit(hosts)
        new = folder() / ".new"
        store.write(folder() / "hosts.json", {"hosts": hosts}, version=_VERSION, beside=new)
        pinned = [value for value in hosts.values() if value["host_key"]]
        known = "".join(f"{value['host_key_alias']} {value['host_key']}\n" for value in pinned)
        store.write_bytes(folder() / "known_hosts", known.encode(), beside=new)
        blocks = [_block(value) for _, value in sorted(hosts.items())]
        store.write_bytes(folder() / "config", "\n".join(blocks).encode("utf-8", "surrogateescape"), beside=new)
        _include(bool(hosts))
        return result


def _as_the_users(host: str) -> list[str]:
    """A machine of the user's under our name for it: what their configuration says of it now, and nothing of ours."""
    found = openssh.settings_of(host)
    lines = []
    for name in _COPIED:
        values = [value for value in found.get(name.lower(), []) if value and value != "none"]
        lines += [f"{name} {value}" for value in (values if name in _REPEATED else values[:1])]
    return lines


def _block(value: dict[str, object]) -> str:
    lines = value.get("lines")
    if isinstance(lines, list):
        return "".join(f"{line}\n" for line in [f"Host {value['alias']}", *(f"  {line}" for line in lines)])
    proxy = value.get("proxy")
    words = [str(word) for word in proxy] if isinstance(proxy, list | tuple) else []
    block = _HOST.format(
        alias=value["alias"],
        host=value["host"],
        port=value["port"],
        user=value["user"],
        key=value["key_file"],
        host_key_alias=value["host_key_alias"],
        known_hosts=folder() / "known_hosts",
    )
    # ssh hands the line to a shell, and before that it reads %h and the like in it.
    return block + (_PROXY.format(command=shlex.join(words).replace("%", "%%")) if words else "")


def _include(wanted: bool) -> None:
    """One line at the top of the user's file: above any `Host`, where it applies always. The rest stays as it is."""
    file = Path(os.path.realpath(Path.home() / ".ssh" / "config"))
    ours = [_MARK, f'Include "{folder() / "config"}"']
    try:
        text = file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""  # with its own line ends
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        rest = "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\r\n") not in ours)
        new = "".join(f"{line}\n" for line in ours) + rest if wanted else rest
        beside = file.with_name(f".{file.name}.dsenv")
        if new == text:
            beside.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StateError(f"cannot read {file}: {error.strerror}") from error
    if not new:
        file.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
    else:
        store.write_bytes(file, new.encode("utf-8", "surrogateescape"), mode=mode, beside=beside)
