"""Containers when things go wrong, and the commands about them, against a real engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dsenv import events
from dsenv.errors import ProviderError, TransportError, WorkstationNotReadyError
from dsenv.models.machine import Identity, Machine, Needs, State
from dsenv.providers.base import Spec
from dsenv.providers.docker import memory, names
from dsenv.providers.docker.provider import DockerProvider
from tests.integration.docker.conftest import docker, state, told
from tests.openssh_lab import USABLE, Lab
from tests.sweep.engine_proxy import EngineProxy

pytestmark = pytest.mark.slow
DSENV = [sys.executable, "-m", "dsenv"]


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_who_one_is_inside(provider: DockerProvider, machine: Machine) -> None:
    assert told(provider, machine, "sudo", "-n", "id", "-u") == "0"
    assert told(provider, machine, "id", "-un") == names.LOGIN
    published = docker("port", names.thing(machine.identity))
    assert published.startswith("22/tcp -> 127.0.0.1:")
    assert len(published.splitlines()) == 1
    settings = told(provider, machine, "sudo", "cat", "/run/dsenv/sshd_config")
    assert "ClientAliveInterval 30" in settings
    assert "LC_CTYPE" not in settings


def test_up_from_an_image_that_is_there_takes_less_than_three_seconds(
    provider: DockerProvider, machine: Machine, spec: Spec
) -> None:
    provider.destroy(machine, events.ignore)
    begun = time.monotonic()
    provider.create(spec, events.ignore)
    assert time.monotonic() - begun < 3


def test_the_host_key_is_in_no_image(provider: DockerProvider, machine: Machine, spec: Spec) -> None:
    name = names.thing(machine.identity)
    used = docker("inspect", "-f", "{{.Image}}", name)
    listed = docker("run", "--rm", "--entrypoint", "find", used, "/etc/dsenv", "/etc/ssh", "-name", "*host*key*")
    assert listed == ""


def test_a_crash_is_repaired(provider: DockerProvider, machine: Machine, spec: Spec) -> None:
    told(provider, machine, "sh", "-c", "echo precious >file; sudo touch /opt/mine")
    docker("kill", names.thing(machine.identity))
    assert state(provider, spec) is State.CRASHED
    repaired = provider.create(spec, events.ignore)
    assert repaired.created == machine.created
    assert told(provider, repaired, "sh", "-c", "cat file; ls /opt/mine") == "precious\n/opt/mine"


def test_a_container_that_was_removed_by_hand_comes_back_with_its_files(
    provider: DockerProvider, machine: Machine, spec: Spec
) -> None:
    told(provider, machine, "sh", "-c", "echo precious >file")
    docker("rm", "-f", names.thing(machine.identity))
    found = provider.find(spec.identity)
    assert found
    assert (found.state, found.created) == (State.CRASHED, machine.created)
    assert found in provider.machines()
    with pytest.raises(WorkstationNotReadyError):
        provider.transport(found)
    again = provider.create(spec, events.ignore)
    assert again.created == machine.created
    assert told(provider, again, "cat", "file") == "precious"


def test_a_frozen_one_thaws(provider: DockerProvider, machine: Machine, spec: Spec) -> None:
    docker("pause", names.thing(machine.identity))
    assert state(provider, spec) is State.STOPPED
    assert told(provider, provider.create(spec, events.ignore), "echo", "ok") == "ok"


def test_a_key_that_is_not_ours_is_replaced(provider: DockerProvider, machine: Machine, spec: Spec) -> None:
    """As when another laptop of the same user has taken the workstation over."""
    memory.key_file(spec.identity).unlink()
    with pytest.raises((TransportError, OSError)):
        told(provider, machine, "true")
    assert told(provider, provider.create(spec, events.ignore), "echo", "ok") == "ok"


def test_a_running_one_of_another_machine_with_our_name_is_not_taken(
    provider: DockerProvider, spec: Spec, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(spec.identity.root / "elsewhere"))
    with pytest.raises(ProviderError, match="not by this one: its key is there"):
        provider.resize(machine, spec, events.ignore)
    with pytest.raises(ProviderError, match="not by this one: its key is there") as caught:
        provider.create(spec, events.ignore)
    assert caught.value.hint is not None
    assert "dsenv stop default, then dsenv up default" in caught.value.hint
    provider.stop(machine, events.ignore)
    assert told(provider, provider.create(spec, events.ignore), "echo", "ok") == "ok"


def test_an_sshd_that_dies_is_started_again(provider: DockerProvider, machine: Machine) -> None:
    name = names.thing(machine.identity)
    docker("exec", name, "sh", "-c", "kill -9 $(pgrep -f 'sshd: /usr/sbin/[s]shd')")

    def works() -> bool:
        try:
            return told(provider, machine, "echo", "ok") == "ok"
        except TransportError:
            return False

    until(works)
    assert docker("inspect", "-f", "{{.State.Running}}", name) == "true"


def test_orphans_are_reaped_and_stop_ends_all_in_order(provider: DockerProvider, machine: Machine, spec: Spec) -> None:
    name = names.thing(machine.identity)
    script = "trap 'echo asked >asked; exit' TERM; echo ready >ready; while :; do sleep 0.05; done"
    told(provider, machine, "sh", "-c", f"setsid sh -c \"{script}\" >/dev/null 2>&1 </dev/null & sh -c 'sleep 0.1 &'")
    until(lambda: docker("exec", name, "ls", names.HOME).count("ready") == 1)
    until(lambda: "defunct" not in docker("exec", name, "ps", "ax"))
    begun = time.monotonic()
    assert provider.stop(machine, events.ignore).state is State.STOPPED
    assert time.monotonic() - begun < 10
    again = provider.start(machine, events.ignore)
    assert told(provider, again, "cat", "asked") == "asked"


def test_it_switches_itself_off(provider: DockerProvider, spec: Spec, machine: Machine) -> None:
    """The limits of a workstation that runs are changed, and it keeps to them without us."""
    shorter = spec.settings.model_copy(update={"max_hours": 4 / 3600, "idle_stop_minutes": 1})
    changed = provider.create(Spec(spec.identity, shorter), events.ignore)
    assert changed.limits is not None
    assert (changed.limits.idle_seconds, changed.limits.max_seconds) == (60, 4)
    until(lambda: state(provider, spec) is State.STOPPED, 90)


def test_a_package_that_does_not_exist(provider: DockerProvider, spec: Spec) -> None:
    wanted = Spec(spec.identity, spec.settings, Needs(packages=("no-such-package-at-all",)))
    with pytest.raises(ProviderError, match="knows no package no-such-package-at-all") as caught:
        provider.create(wanted, events.ignore)
    assert caught.value.hint is not None
    assert "dsenv.toml" in caught.value.hint
    assert docker("ps", "-aq", "--filter", f"label={names.KIND}=build") == ""
    assert provider.find(spec.identity) is None


def test_an_image_that_cannot_be_had(provider: DockerProvider, spec: Spec) -> None:
    settings = spec.settings.model_copy(update={"image": "127.0.0.1:1/nobody/nothing:1"})
    with pytest.raises(ProviderError, match="cannot fetch the image") as caught:
        provider.create(Spec(spec.identity, settings), events.ignore)
    assert caught.value.hint is not None
    assert "dsenv.toml" in caught.value.hint


@pytest.fixture
def project(tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "proj"
    root.mkdir()
    (root / "dsenv.toml").write_text(
        f'[project]\nname = "proj"\n[workstations.default]\nprovider = "docker"\nimage = "{image}"\n'
    )
    monkeypatch.chdir(root)
    yield root
    os.chdir(root)
    dsenv("down", code=None)


def dsenv(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*DSENV, *words], capture_output=True, timeout=250, check=False, stdin=subprocess.DEVNULL)
    assert code is None or done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-3000:])
    return done


@pytest.mark.parametrize("seconds", [0.6, 0.9, 1.2])
def test_up_that_was_killed_is_finished_by_the_next(project: Path, seconds: float) -> None:
    with subprocess.Popen([*DSENV, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        time.sleep(seconds)  # a moment somewhere in it: which one does not matter
        first.send_signal(signal.SIGKILL)
    dsenv("up")
    assert dsenv("ssh", "--", "echo", "ok").stdout == b"ok\n"


def test_two_at_once_end_the_same(project: Path) -> None:
    running = [subprocess.Popen([*DSENV, "up", "--json"], stdout=subprocess.PIPE) for _ in range(2)]
    ended: list[dict[str, Any]] = [json.loads(child.communicate(timeout=200)[0]) for child in running]
    assert [child.returncode for child in running] == [0, 0]
    assert ended[0]["home"] == ended[1]["home"]
    assert {item["was"] for item in ended} == {"missing", "running"}


def test_one_whose_engine_is_gone_is_forgotten_and_found_again_by_its_labels(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory(prefix="gone-") as folder, EngineProxy(Path(folder), [""]) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        dsenv("up")
        assert b"default is there, running" in dsenv("down", "--forget", "--yes", code=4).stderr
    assert dsenv("run", "--", "echo", "ok").stdout == b"ok\n"  # it is where it was
    said = dsenv("down", "--forget", "--yes").stdout.decode()
    assert "what may remain: its files, and what runs there, in /home/dsenv" in said
    assert "once docker answers: dsenv audit" in said
    monkeypatch.delenv("DOCKER_HOST")
    (found,) = json.loads(dsenv("ls", "--json").stdout)["workstations"]
    assert (found["name"], found["state"]) == ("default", "running")


@pytest.mark.network
def test_the_commands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "requirements.txt").write_text("six==1.16.0\n")
    monkeypatch.setenv("UV_INDEX_ACME_PASSWORD", "do-not-keep-me")
    dsenv("lock")
    up = json.loads(dsenv("up", "--json").stdout)
    assert up["environment"].startswith("/opt/dsenv/envs/")
    done = dsenv("run", "--progress=none", "--", "python", "-c", "import six; print(six.__version__)")
    assert done.stdout == b"1.16.0\n"
    (run,) = json.loads(dsenv("runs", "--json").stdout)["runs"]
    assert run["status"] == "succeeded"
    compared = json.loads(dsenv("diff", "--json", "lock", "default", code=None).stdout)
    assert compared["verdict"] in {"identical", "compatible"}
    alias = up["alias"]
    config = Path.home() / ".ssh" / "config"
    by_ssh = subprocess.run(["ssh", "-F", config, alias, "id", "-un"], capture_output=True, text=True, check=False)
    assert by_ssh.stdout == f"{names.LOGIN}\n", by_ssh.stderr
    used = docker("inspect", "-f", "{{.Image}}", f"dsenv-{Identity(project, 'proj', 'default').id}")
    seen = docker("history", "--no-trunc", used) + docker("inspect", used)
    assert "do-not-keep-me" not in seen
    left = docker("run", "--rm", "--entrypoint", "sh", used, "-c", "ls -A /opt/dsenv; test ! -e /home/dsenv/.cache")
    assert left == "envs"
    dsenv("down")
    assert json.loads(dsenv("ls", "--json").stdout)["workstations"] == []


@pytest.fixture
def distant(monkeypatch: pytest.MonkeyPatch, image: str) -> Iterator[str]:
    """The engine at a TCP address, as if it were another machine's."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_relay, args=(listener,), daemon=True).start()
    url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("DOCKER_HOST", url)
    yield url
    listener.shutdown(socket.SHUT_RDWR)


def _relay(listener: socket.socket) -> None:
    with listener:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(client,), daemon=True).start()


def _serve(client: socket.socket) -> None:
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect("/var/run/docker.sock")
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_an_engine_elsewhere_publishes_no_port(distant: str, provider: DockerProvider, spec: Spec) -> None:
    machine = provider.create(spec, events.ignore)
    try:
        assert machine.region == distant
        assert machine.endpoint is not None
        assert machine.endpoint.proxy[:3] == ("docker", "--host", distant)
        assert docker("port", names.thing(spec.identity)) == ""
        with provider.transport(machine) as transport:
            assert transport.run(["cat"], stdin=b"x" * 1_000_000).stdout == b"x" * 1_000_000
        assert provider.create(spec, events.ignore) == machine
    finally:
        provider.destroy(machine, events.ignore)


@pytest.mark.skipif(not USABLE, reason="there is no ssh or no sshd on this machine")
def test_an_engine_behind_ssh(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The port is one that only the user's ssh configuration knows."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    monkeypatch.setenv("PATH", lab.path)
    monkeypatch.setenv("DOCKER_HOST", "ssh://box")
    lab.server("box")
    try:
        dsenv("up")
        assert dsenv("ssh", "--", "id", "-un").stdout.decode() == f"{names.LOGIN}\n"
        dsenv("down")
    finally:
        lab.close()


def test_a_workstation_stays_on_its_engine(distant: str, provider: DockerProvider, spec: Spec) -> None:
    machine = provider.create(spec, events.ignore)
    try:
        moved = Spec(spec.identity, spec.settings.model_copy(update={"context": "default"}))
        with pytest.raises(ProviderError, match="is on the engine"):
            provider.create(moved, events.ignore)
    finally:
        provider.destroy(machine, events.ignore)
