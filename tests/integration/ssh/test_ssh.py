"""Machines that the user has, behind real SSH servers: ways there, what goes wrong on them, and the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsenv import events
from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.errors import HostKeyError, ProviderError, TransportError
from dsenv.models.machine import Identity, Machine, State
from dsenv.providers import keys
from dsenv.providers.base import Spec
from dsenv.providers.ssh.provider import SshProvider
from dsenv.providers.ssh.there import FOLDER
from dsenv.transports import openssh
from dsenv.workflows import sshconfig
from tests.openssh_lab import USABLE, Lab, Server

pytestmark = pytest.mark.skipif(not USABLE, reason="there is no ssh or no sshd on this machine")
DSENV = [sys.executable, "-m", "dsenv"]


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    monkeypatch.setenv("PATH", lab.path)
    yield lab
    for host in ("box", "far"):
        openssh.disconnect(host)
    lab.close()


@pytest.fixture
def box(lab: Lab) -> Server:
    return lab.server("box")


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return Spec(Identity(tmp_path, "proj", "default"), Workstation(provider="ssh", host="box"))


@pytest.fixture
def machine(box: Server, spec: Spec) -> Machine:
    return SshProvider().create(spec, events.ignore)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_host_whose_key_is_not_known_is_not_talked_to(lab: Lab, spec: Spec) -> None:
    server = lab.server("box", known=False)
    with pytest.raises(TransportError, match="host key of box is not known") as caught:
        SshProvider().create(spec, events.ignore)
    assert caught.value.hint is not None
    assert "ssh box true" in caught.value.hint
    assert lab.known_hosts.read_text() == ""
    lab.know(server)
    assert SshProvider().create(spec, events.ignore).state is State.RUNNING


def test_a_host_whose_key_has_changed_is_not_talked_to(lab: Lab, box: Server, spec: Spec) -> None:
    lab.known_hosts.write_text(f"[127.0.0.1]:{box.port} {keys.new()[1]}\n")
    with pytest.raises(HostKeyError, match="another host key"):
        SshProvider().create(spec, events.ignore)


def test_a_host_that_does_not_let_us_in(lab: Lab, box: Server, spec: Spec) -> None:
    (box.folder / "authorized_keys").write_text("")
    with pytest.raises(TransportError, match="without a question"):
        SshProvider().create(spec, events.ignore)


def test_a_jump_host_and_a_key_that_only_the_agent_has(
    lab: Lab, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = subprocess.run(["ssh-agent", "-s", "-a", f"{tmp_path}/agent"], capture_output=True, text=True, check=True)
    pid = started.stdout.partition("SSH_AGENT_PID=")[2].partition(";")[0]
    monkeypatch.setenv("SSH_AUTH_SOCK", f"{tmp_path}/agent")
    try:
        subprocess.run(["ssh-add", "-q", f"{lab.folder}/id"], check=True, capture_output=True)
        (lab.folder / "id").unlink()
        lab.server("gate", extra="IdentityAgent SSH_AUTH_SOCK")
        far = lab.server("far", extra="IdentityAgent SSH_AUTH_SOCK\n  ProxyJump gate")
        machine = SshProvider().create(Spec(spec.identity, Workstation(provider="ssh", host="far")), events.ignore)
        with SshProvider().transport(machine) as transport:
            assert transport.run(["pwd"]).stdout.decode().strip() == machine.home
        assert machine.home.startswith(f"{far.home}/{FOLDER}/")
        assert "127.0.0.1" in (lab.servers[0].folder / "log").read_text()
        openssh.disconnect("far")
    finally:
        os.kill(int(pid), 15)


def test_nothing_but_our_folder_is_made_and_nothing_but_it_is_removed(box: Server, spec: Spec) -> None:
    (box.home / "theirs").write_text("x")
    machine = SshProvider().create(spec, events.ignore)
    with SshProvider().transport(machine) as transport:
        seen = transport.run(["sh", "-c", "echo $HOME ${XDG_DATA_HOME-none}; ln -s ../../../../../.. up"])
    assert seen.stdout.decode().split() == [machine.home, "none"]
    SshProvider().destroy(machine, events.ignore)
    assert (box.home / "theirs").read_text() == "x"
    assert list((box.home / FOLDER).iterdir()) == []
    assert SshProvider().find(spec.identity) is None


def test_a_folder_without_its_marker_is_not_removed(box: Server, machine: Machine, spec: Spec) -> None:
    folder = Path(machine.home).parent
    Path(machine.home, "precious").write_text("x")
    (folder / "dsenv.json").unlink()
    SshProvider().destroy(machine, events.ignore)
    assert Path(machine.home, "precious").read_text() == "x"


def test_a_link_in_the_place_of_our_folder_is_not_followed(box: Server, machine: Machine, spec: Spec) -> None:
    folder = Path(machine.home).parent
    moved = folder.rename(box.home / "moved")
    folder.symlink_to(moved)
    with pytest.raises(ProviderError, match="link"):
        SshProvider().create(spec, events.ignore)
    with pytest.raises(ProviderError, match="link"):
        SshProvider().destroy(machine, events.ignore)
    assert (moved / "dsenv.json").exists()


def test_a_host_without_a_python(box: Server, spec: Spec) -> None:
    (box.folder / "enter").write_text(
        f'#!/bin/sh\nHOME={box.home}; PATH={box.folder}/bin; export HOME PATH; cd "$HOME"\n'
        'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    (box.folder / "bin").mkdir()
    for name in ("sh", "cat", "mkdir", "ln", "rm"):
        (box.folder / "bin" / name).symlink_to(f"/bin/{name}")
    with pytest.raises(ProviderError, match="no Python of at least"):
        SshProvider().create(spec, events.ignore)


def test_a_host_that_is_down_is_listed_as_that(box: Server, machine: Machine, spec: Spec) -> None:
    openssh.disconnect("box")
    box.stop()
    (listed,) = SshProvider().machines()
    assert (listed.identity, listed.state, listed.endpoint) == (machine.identity, State.CRASHED, None)
    assert "box" in listed.note
    with pytest.raises(TransportError, match="box"):
        SshProvider().find(spec.identity)
    box.start()
    assert SshProvider().machines() == [machine]


def test_a_cut_is_no_exit_code_of_the_command(box: Server, machine: Machine) -> None:
    with SshProvider().transport(machine) as transport:
        cut = threading.Timer(0.5, box.stop)
        cut.start()
        with pytest.raises(TransportError):
            transport.run(["sh", "-c", "echo begun; sleep 30"])
        cut.join()
    box.start()
    with SshProvider().transport(machine) as transport:
        assert transport.run(["sh", "-c", "exit 255"]).code == 255


def test_a_workstation_stays_on_its_host(lab: Lab, machine: Machine, spec: Spec) -> None:
    lab.server("far")
    moved = Spec(spec.identity, Workstation(provider="ssh", host="far"))
    with pytest.raises(ProviderError, match="is on box"):
        SshProvider().create(moved, events.ignore)
    SshProvider().destroy(machine, events.ignore)
    assert SshProvider().create(moved, events.ignore).region == "far"


def test_two_at_once_make_one(box: Server, spec: Spec) -> None:
    made: list[Machine] = []
    threads = [
        threading.Thread(target=lambda: made.append(SshProvider().create(spec, events.ignore))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0] == made[1] == made[2]


def test_our_name_for_it_leads_there(lab: Lab, box: Server, machine: Machine) -> None:
    alias = sshconfig.register(machine)
    text = (sshconfig.folder() / "config").read_text()
    assert f"Host {alias}" in text
    with lab.config.open("r+") as out:
        users = out.read()
        out.seek(0)
        out.write(f'Include "{sshconfig.folder() / "config"}"\n{users}')
    there = subprocess.run(["ssh", alias, "pwd"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert there.stdout.strip() == str(box.home), there.stderr
    assert (sshconfig.folder() / "known_hosts").read_text() == ""
    sshconfig.forget(machine.identity)
    assert (sshconfig.folder() / "config").read_text() == ""


def dsenv(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*DSENV, *words], capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert code is None or done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-3000:])
    return done


@pytest.mark.slow
def test_a_machine_that_is_gone_for_good_is_forgotten(
    box: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dsenv.toml").write_text(
        '[project]\nname = "proj"\n[workstations.default]\nprovider = "ssh"\nhost = "box"\n'
    )
    monkeypatch.chdir(tmp_path)
    home = Path(json.loads(dsenv("up", "--json").stdout)["home"])
    refused = dsenv("down", "--forget", "--yes", code=4).stderr.decode()
    assert "default is there, running" in refused
    assert "next: dsenv down default" in refused
    openssh.disconnect("box")
    box.stop()
    assert b"gone for good: dsenv down default --forget" in dsenv("down", "--yes", code=5).stderr
    before = sorted(paths.state_dir().rglob("*"))
    plan = json.loads(dsenv("down", "--forget", "--dry-run", "--json").stdout)
    assert (plan["known"], plan["remains"], plan["advice"]) == (True, f"{home} (box)", None)
    assert "box" in plan["unreachable"]
    assert sorted(paths.state_dir().rglob("*")) == before
    said = dsenv("down", "--forget", "--yes").stdout.decode()
    assert "forgot the workstation default; nothing is destroyed" in said
    assert f"what may remain: its files, and what runs there, in {home} (box)" in said
    assert json.loads(dsenv("ls", "--json").stdout)["workstations"] == []
    assert [file.name for file in paths.state_dir().rglob("*") if file.is_file()] == ["lock"]
    assert (sshconfig.folder() / "config").read_text() == ""
    assert b"there is no workstation default" in dsenv("down", "--forget").stdout
    box.start()
    assert home.is_dir()
    assert b"is there" in dsenv("down", "--forget", code=4).stderr  # found again by its marker


@pytest.mark.slow
@pytest.mark.network
def test_the_commands(box: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "proj"
    root.mkdir()
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (root / "dsenv.toml").write_text(
        f'[project]\nname = "proj"\n[environment]\npython = "{minor}"\n'
        '[workstations.default]\nprovider = "ssh"\nhost = "box"\n'
    )
    (root / "requirements.txt").write_text("six==1.16.0\n")
    monkeypatch.chdir(root)
    dsenv("lock")
    up = json.loads(dsenv("up", "--json").stdout)
    assert up["home"].startswith(str(box.home))
    done = dsenv("run", "--progress=none", "--", "python", "-c", "import six; print(six.__version__)")
    assert done.stdout == b"1.16.0\n"
    (run,) = json.loads(dsenv("runs", "--json").stdout)["runs"]
    assert run["status"] == "succeeded"
    assert json.loads(dsenv("diff", "--json", "lock", "default", code=None).stdout)["verdict"] in {
        "identical",
        "compatible",
    }
    assert b"cannot be stopped" in dsenv("stop", code=4).stderr
    dsenv("run", "-d", "--", "sh", "-c", "echo $$ >../pid; exec sleep 300")
    until(lambda: Path(up["home"], "pid").exists())
    job = int(Path(up["home"], "pid").read_text())
    dsenv("down")
    until(lambda: not Path(f"/proc/{job}").exists())
    assert not Path(up["home"]).exists()
    assert json.loads(dsenv("ls", "--json").stdout)["workstations"] == []
