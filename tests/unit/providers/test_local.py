"""The embedded workstation when things go wrong: reboots, crashes, taken ports, strangers' keys, other users."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from dsenv import events
from dsenv.agent import process
from dsenv.agent.process import Process
from dsenv.config.schema import Workstation
from dsenv.errors import HostKeyError, ProviderError, StateError, TransportError, WorkstationNotReadyError
from dsenv.models.machine import Identity, Machine, State
from dsenv.providers import keys, registry
from dsenv.providers.base import Spec
from dsenv.providers.local import server, sshd
from dsenv.providers.local.layout import Layout, Saved, current_user
from dsenv.providers.local.provider import LocalProvider

needs_sshd = pytest.mark.skipif(sshd.find() is None, reason="there is no sshd on this machine")
Server = Literal["sshd", "builtin"]


@pytest.fixture(params=[pytest.param("sshd", marks=needs_sshd), "builtin"])
def kind(request: pytest.FixtureRequest) -> Server:
    return "sshd" if request.param == "sshd" else "builtin"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path, "proj", "default")


@pytest.fixture
def machine(identity: Identity, kind: Server) -> Iterator[Machine]:
    provider = LocalProvider()
    yield provider.create(Spec(identity, Workstation(server=kind)), events.ignore)
    found = provider.find(identity)
    if found:
        provider.destroy(found, events.ignore)


def _process(identity: Identity) -> Process:
    saved = Saved.read(Layout.of(identity))
    assert saved
    assert saved.process
    return saved.process


def test_everything_of_it_is_the_users_alone(machine: Machine, identity: Identity) -> None:
    layout = Layout.of(identity)
    for path in (layout.folder, layout.home):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (layout.host_key, layout.client_key, layout.state_file, layout.folder / "authorized_keys"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert machine.endpoint
    assert machine.endpoint.user == current_user()


def test_a_session_has_a_home_of_its_own(machine: Machine, isolation: Path) -> None:
    (isolation / ".bashrc").write_text("touch ~/.bashrc-was-read; echo noise\n")
    with LocalProvider().transport(machine) as transport:
        result = transport.run(["sh", "-c", 'echo "$HOME"; echo "${XDG_DATA_HOME-none}"; touch mine'])
    assert result.stdout.decode().split() == [machine.home, "none"]
    assert Path(machine.home, "mine").exists()
    assert not (isolation / ".bashrc-was-read").exists()


def test_a_crash_is_noticed_and_repaired(machine: Machine, identity: Identity, kind: Server) -> None:
    provider = LocalProvider()
    Path(machine.home, "precious").write_text("x")
    server.end(_process(identity))
    crashed = provider.find(identity)
    assert crashed
    assert crashed.state is State.CRASHED
    with pytest.raises(WorkstationNotReadyError, match="crashed"):
        provider.transport(crashed)
    repaired = provider.create(Spec(identity, Workstation(server=kind)), events.ignore)
    assert repaired.state is State.RUNNING
    assert repaired.endpoint
    assert machine.endpoint
    assert repaired.endpoint.host_key == machine.endpoint.host_key
    with provider.transport(repaired) as transport:
        assert transport.get("precious") == b"x"


@pytest.mark.slow  # it waits as long as a server may take to start
def test_a_server_that_hangs_is_replaced(machine: Machine, identity: Identity, kind: Server) -> None:
    """Stopped by a signal it holds its port and answers nobody."""
    old = _process(identity)
    os.kill(old.pid, signal.SIGSTOP)
    try:
        provider = LocalProvider()
        repaired = provider.create(Spec(identity, Workstation(server=kind)), events.ignore)
        assert not old.alive()
        with provider.transport(repaired) as transport:
            assert transport.run(["true"]).code == 0
    finally:
        if old.alive():
            os.kill(old.pid, signal.SIGKILL)


def test_it_wakes_after_a_reboot(machine: Machine, identity: Identity, kind: Server) -> None:
    Path(machine.home, "precious").write_text("x")
    server.end(_process(identity))
    rebooted = LocalProvider(boot=lambda: "another boot")
    found = rebooted.find(identity)
    assert found
    assert found.state is State.CRASHED
    woken = rebooted.create(Spec(identity, Workstation(server=kind)), events.ignore)
    with rebooted.transport(woken) as transport:
        assert transport.get("precious") == b"x"
    rebooted.destroy(woken, events.ignore)  # to the fixture's provider, of this boot, its server is a stranger's


def test_a_recycled_pid_is_never_killed(machine: Machine, identity: Identity) -> None:
    layout = Layout.of(identity)
    saved = Saved.read(layout)
    assert saved
    assert saved.process
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        recycled = saved.process._replace(pid=bystander.pid)
        dataclasses.replace(saved, process=recycled).write(layout)
        provider = LocalProvider()
        found = provider.find(identity)
        assert found
        assert found.state is State.CRASHED
        provider.stop(found, events.ignore)
        provider.destroy(found, events.ignore)
        assert bystander.poll() is None
    finally:
        server.end(saved.process)
        bystander.communicate(b"\n")


def test_a_strange_host_key_is_refused(machine: Machine, identity: Identity, tmp_path: Path) -> None:
    assert machine.endpoint
    strange = dataclasses.replace(machine.endpoint, host_key=keys.ensure(tmp_path / "other"))
    with pytest.raises(HostKeyError, match="another machine"):
        LocalProvider().transport(dataclasses.replace(machine, endpoint=strange))


def test_a_strange_client_key_is_refused(machine: Machine, tmp_path: Path) -> None:
    assert machine.endpoint
    keys.ensure(tmp_path / "other")
    strange = dataclasses.replace(machine.endpoint, key_file=tmp_path / "other")
    with pytest.raises(TransportError, match="does not accept our key"):
        LocalProvider().transport(dataclasses.replace(machine, endpoint=strange))


def test_a_port_that_is_taken_is_replaced_when_it_was_our_choice(
    machine: Machine, identity: Identity, kind: Server
) -> None:
    provider = LocalProvider()
    provider.stop(machine, events.ignore)
    assert machine.endpoint
    with socket.create_server(("127.0.0.1", machine.endpoint.port)):
        moved = provider.create(Spec(identity, Workstation(server=kind)), events.ignore)
        assert moved.endpoint
        assert moved.endpoint.port != machine.endpoint.port
        with provider.transport(moved) as transport:
            assert transport.run(["true"]).code == 0


def test_a_port_that_is_taken_is_an_error_when_it_was_asked_for(identity: Identity, kind: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ProviderError, match=f"port {port}") as caught:
            LocalProvider().create(Spec(identity, Workstation(server=kind, port=port)), events.ignore)
    assert "dsenv.toml" in (caught.value.hint or "")


def test_a_port_that_is_taken_says_nothing_against_the_server(identity: Identity) -> None:
    said: list[events.Event] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wanted = Workstation(server="auto", port=listener.getsockname()[1])
        with pytest.raises(ProviderError, match="taken by another program"):
            LocalProvider().create(Spec(identity, wanted), said.append)
    assert said == []


def test_a_port_that_was_asked_for_is_used(identity: Identity, kind: Server) -> None:
    provider, port = LocalProvider(), server.free_port()
    machine = provider.create(Spec(identity, Workstation(server=kind, port=port)), events.ignore)
    assert machine.endpoint
    assert machine.endpoint.port == port
    provider.destroy(machine, events.ignore)


def test_stopping_ends_what_runs(machine: Machine, identity: Identity) -> None:
    provider = LocalProvider()
    with provider.transport(machine) as transport:
        transport.open_channel(["sh", "-c", "echo $$ > pid; exec sleep 60"])
        while not (pid := Path(machine.home, "pid")).exists() or not pid.read_text().strip():
            time.sleep(0.01)
        running = Process.of(int(pid.read_text()))
        provider.stop(machine, events.ignore)
        deadline = time.monotonic() + 10
        while running.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not running.alive()
    assert not _answers(machine)


def _answers(machine: Machine) -> bool:
    assert machine.endpoint
    return server.answers(machine.endpoint.port)


def test_the_server_keeps_no_descriptor_of_ours(identity: Identity, kind: Server) -> None:
    """A caller that reads until the end of our output must see it, with the server alive."""
    program = (
        "import sys; from pathlib import Path; from dsenv import events; from dsenv.models.machine import Identity;"
        "from dsenv.config.schema import Workstation; from dsenv.providers.local.provider import LocalProvider;"
        "from dsenv.providers.base import Spec; identity = Identity(Path(sys.argv[1]), 'proj', 'default');"
        "LocalProvider().create(Spec(identity, Workstation(server=sys.argv[2])), print)"
    )
    command = [sys.executable, "-c", program, str(identity.root), kind]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    try:
        assert done.returncode == 0, done.stderr
        assert _process(identity).alive()
    finally:
        found = LocalProvider().find(identity)
        assert found
        LocalProvider().destroy(found, events.ignore)


@needs_sshd
def test_our_server_serves_when_sshd_refuses(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sshd").write_text("#!/bin/sh\necho 'Permission denied by policy' >&2\nexit 1\n")
    (tmp_path / "bin/sshd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    said: list[events.Event] = []
    provider = LocalProvider()
    machine = provider.create(Spec(identity, Workstation()), said.append)
    try:
        assert machine.note == "built-in server"
        assert [type(event) for event in said] == [events.Notice]
    finally:
        provider.destroy(machine, events.ignore)
    with pytest.raises(ProviderError, match="did not start") as caught:
        provider.create(Spec(identity, Workstation(server="sshd")), events.ignore)
    assert "denied by policy" in (caught.value.detail or "")


def test_damaged_state(identity: Identity) -> None:
    layout = Layout.of(identity)
    layout.home.mkdir(parents=True)
    layout.state_file.write_text('{"version": 1, "root": "/x"}')
    provider = LocalProvider()
    with pytest.raises(StateError, match="damaged"):
        provider.find(identity)
    layout.state_file.write_text(json.dumps({"version": 99}))
    with pytest.raises(StateError, match="newer"):
        provider.find(identity)


def test_a_damaged_key_is_made_again(tmp_path: Path) -> None:
    first = keys.ensure(tmp_path / "key")
    assert keys.ensure(tmp_path / "key") == first
    (tmp_path / "key").write_text("half a k")
    assert keys.ensure(tmp_path / "key") != first


def test_providers_are_known_by_name() -> None:
    assert "local" in registry.names()
    with pytest.raises(ProviderError, match="no provider called clout"):
        registry.load("clout")


_AS_ANOTHER_USER = """
import sys
from pathlib import Path
from dsenv import events
from dsenv.config.schema import Workstation
from dsenv.models.machine import Identity
from dsenv.providers.base import Spec
from dsenv.providers.local.provider import LocalProvider

provider = LocalProvider()
identity = Identity(Path(sys.argv[1]), "proj", "default")
machine = provider.create(Spec(identity, Workstation(server=sys.argv[2])), print)
try:
    with provider.transport(machine) as transport:
        words = transport.run(["sh", "-c", "id -u; pwd"]).stdout.decode().split()
        print(words[0], words[1] == machine.home)
finally:
    provider.destroy(machine, print)
"""


@pytest.mark.unprivileged
@pytest.mark.skipif(os.geteuid() != 0, reason="this user is not root: the other tests say it all")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
def test_an_unprivileged_user_has_workstations_too(kind: Server) -> None:
    """The same as a user that is not root: sshd, too, then runs without privileges."""
    import pwd

    try:
        user = pwd.getpwnam("dsenv-test")
    except KeyError:
        pytest.skip("there is no user dsenv-test; ./install.sh test makes it")
    drop = [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "sh",
        "-c",
        'exec "$@"',
        "sh",
    ]
    if subprocess.run([*drop, sys.executable, "-c", "import dsenv"], capture_output=True, check=False).returncode:
        pytest.skip("this Python cannot be run by other users")
    home = Path("/tmp") / f"dsenv-other-{os.getpid()}-{kind}"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-c", _AS_ANOTHER_USER, str(home), kind],
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            cwd=home,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.decode().split() == [str(user.pw_uid), "True"], done.stderr
    finally:
        shutil.rmtree(home)


def test_this_boot_has_an_identity() -> None:
    assert process.boot_id() == process.boot_id() != ""
