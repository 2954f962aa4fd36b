"""The user's ssh configuration, which is not ours but for two lines."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from dsenv.models.machine import Endpoint, Identity, Machine, State
from dsenv.workflows import sshconfig

_USERS = [b"", b"Host foo\n  User me\n", b"Host foo\r\n  User me\r\n", b"# caf\xe9\x0c\nHost foo"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _machine(folder: str) -> Machine:
    endpoint = Endpoint("127.0.0.1", 2222, "me", Path("/keys/key"), "ssh-ed25519 AAAA", f"alias-{folder}")
    return Machine(
        identity=Identity(Path("/") / folder / "proj", "proj", "default"),
        provider="fake",
        state=State.RUNNING,
        alias="dsenv-proj-default",
        created=1,
        home="/home",
        python="python3",
        shares_files=False,
        endpoint=endpoint,
    )


@pytest.mark.parametrize("users", _USERS)
@pytest.mark.parametrize("link", [False, True])
def test_what_the_user_wrote_is_there_to_the_byte_before_and_after(home: Path, users: bytes, link: bool) -> None:
    config = home / ".ssh/config"
    config.parent.mkdir()
    if link:
        config.symlink_to("elsewhere")
        (home / ".ssh/elsewhere").write_bytes(users or b"#\n")
    elif users:
        config.write_bytes(users)
    before = config.read_bytes() if config.exists() else None
    sshconfig.register(_machine("a"))
    added = config.read_bytes()
    assert added.endswith(before or b"")
    assert added.count(b"Include") == 1
    sshconfig.register(_machine("a"))
    assert config.read_bytes() == added
    sshconfig.forget(_machine("a").identity)
    assert (config.read_bytes() if config.exists() else None) == before
    assert config.is_symlink() == link


def test_our_lines_are_known_again_when_an_editor_changed_their_ends(home: Path) -> None:
    sshconfig.register(_machine("a"))
    config = home / ".ssh/config"
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n") + b"Host foo\r\n")
    sshconfig.forget(_machine("a").identity)
    assert config.read_bytes() == b"Host foo\r\n"


def test_projects_of_one_name_have_two_aliases(home: Path) -> None:
    first, second = _machine("a"), _machine("b")
    assert sshconfig.register(first) == "dsenv-proj-default"
    assert sshconfig.register(second) == sshconfig.alias_of(second) == f"dsenv-{second.identity.id}"
    assert sshconfig.alias_of(first) == "dsenv-proj-default"
    known = (sshconfig.folder() / "known_hosts").read_text()
    assert known == "alias-a ssh-ed25519 AAAA\nalias-b ssh-ed25519 AAAA\n"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh on this machine")
def test_a_way_there_is_a_program(home: Path) -> None:
    machine = _machine("a")
    assert machine.endpoint
    words = ("/opt/with space/way", "--to", "%h", "it's")
    sshconfig.register(dataclasses.replace(machine, endpoint=dataclasses.replace(machine.endpoint, proxy=words)))
    argv = ["ssh", "-G", "-F", str(sshconfig.folder() / "config"), "dsenv-proj-default"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    line = next(line.partition(" ")[2] for line in said if line.startswith("proxycommand "))
    assert shlex.split(line.replace("%%", "%")) == list(words)
    sshconfig.register(machine)
    assert "ProxyCommand" not in (sshconfig.folder() / "config").read_text()
