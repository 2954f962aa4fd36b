"""Containers without an engine: what is said of one that is not there, and what is made of labels, sizes and files."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dsenv import events
from dsenv.config.schema import Workstation
from dsenv.errors import InstallError, ProviderError
from dsenv.models.machine import Identity, Installable, Limits, Needs, State
from dsenv.providers.base import Spec
from dsenv.providers.docker import build, container, engine, image, init, inside, memory, names
from dsenv.providers.docker.memory import Memory
from dsenv.providers.docker.provider import DockerProvider
from dsenv.providers.size import Size


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine that is not running."""
    url = f"unix://{tmp_path}/none.sock"
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return url


def _identity(root: Path = Path("/somewhere/proj")) -> Identity:
    return Identity(root, "proj", "default")


def test_an_engine_that_does_not_run(nowhere: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="is not running") as caught, engine.connected(nowhere):
        pass
    assert caught.value.hint is not None
    assert "systemctl start docker" in caught.value.hint
    spec = Spec(_identity(), Workstation(provider="docker"))
    with pytest.raises(ProviderError, match="is not running"):
        DockerProvider().create(spec, events.ignore)
    assert DockerProvider().find(_identity()) is None
    assert DockerProvider().machines() == []


def test_a_socket_that_is_closed_to_us() -> None:
    denied = ConnectionError("Connection aborted.", PermissionError(13, "Permission denied"))
    with pytest.raises(ProviderError, match="may not be used") as caught, engine.translated("the engine"):
        raise denied
    assert caught.value.hint is not None
    assert "usermod -aG docker" in caught.value.hint


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh on this machine")
def test_an_engine_behind_an_ssh_that_does_not_answer() -> None:
    with pytest.raises(ProviderError, match=r"cannot be reached: .*refused"), engine.connected("ssh://127.0.0.1:1"):
        pass


def test_a_context_that_is_not_there() -> None:
    with pytest.raises(ProviderError, match="no docker context called nowhere") as caught, engine.connected("nowhere"):
        pass
    assert caught.value.hint is not None
    assert "docker context ls" in caught.value.hint


def test_which_engine_is_meant(monkeypatch: pytest.MonkeyPatch, nowhere: str, tmp_path: Path) -> None:
    assert engine.in_use("mine") == "mine"
    assert engine.in_use() == nowhere
    monkeypatch.delenv("DOCKER_HOST")
    assert engine.in_use() == "default"
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text('{"currentContext": "colima"}')
    assert engine.in_use() == "colima"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert engine.in_use() == "other"


def test_nothing_is_loaded_where_there_is_no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(engine, "_SOCKET", tmp_path / "none.sock")
    assert not engine.is_likely()
    assert DockerProvider().machines() == []
    (Path.home() / ".docker").mkdir()
    assert engine.is_likely()


def test_one_that_is_remembered_is_listed_while_its_engine_is_off(nowhere: str) -> None:
    saved = Memory(_identity(), nowhere, 7, Limits(1, 2))
    saved.write()
    assert memory.read(_identity()) == saved
    listed = DockerProvider().machines()
    assert [(item.identity, item.state, item.created) for item in listed] == [(_identity(), State.STOPPED, 7)]
    assert "not running" in listed[0].note
    with pytest.raises(ProviderError):
        DockerProvider().find(_identity())


@pytest.mark.parametrize("root", ["/a b/proj", "/caf\udce9", "/x%41/=,\n"])
def test_labels_say_whose_a_thing_is(root: str) -> None:
    identity = _identity(Path(root))
    labels = names.labels(identity, "volume", 5)
    assert all(value.encode() for value in labels.values())
    assert names.identity_of(labels) == identity
    assert names.identity_of(labels).id == labels[names.ID]
    assert names.created_of(labels) == 5


@pytest.mark.parametrize(("text", "limits"), [("60,0", Limits(60, 0)), ("", None), ("x,1", None), ("1", None)])
def test_limits_in_a_label(text: str, limits: Limits | None) -> None:
    assert names.limits_of(text) == limits
    if limits:
        assert names.limits_label(limits) == text


@pytest.mark.parametrize(
    ("settings", "needs", "base"),
    [
        (Workstation(provider="docker", image="mine:1"), Needs(os="debian-12"), "mine:1"),
        (Workstation(provider="docker"), Needs(), image.DEBIAN),
        (Workstation(provider="docker"), Needs(os="debian-13"), "debian:13-slim"),
        (Workstation(provider="docker"), Needs(os="ubuntu-24.04"), "ubuntu:24.04"),
        (
            Workstation(provider="docker"),
            Needs(environment=Installable("id", {"python": "3.14"}, {})),
            "python:3.14-slim-bookworm",
        ),
        (Workstation(provider="docker"), Needs(environment=Installable("id", {"python": "3.11"}, {})), image.DEBIAN),
    ],
)
def test_what_it_starts_from(settings: Workstation, needs: Needs, base: str) -> None:
    assert image.base_of(Spec(_identity(), settings, needs)) == base


def test_a_size_there_and_back() -> None:
    options = container.limits_of(Size(1.5, 2))
    assert options == {"cpu_period": 100_000, "cpu_quota": 150_000, "mem_limit": 2 << 30, "memswap_limit": 2 << 30}
    found: dict[str, Any] = {"CpuPeriod": 100_000, "CpuQuota": 150_000, "Memory": 2 << 30}
    found["DeviceRequests"] = [{"Count": 2}]
    assert container.size_of({"HostConfig": found}) == Size(1.5, 2, 2)
    assert container.size_of({"HostConfig": {}}) == Size()


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        ("running", 0, State.RUNNING),
        ("paused", 0, State.STOPPED),
        ("exited", 0, State.STOPPED),
        ("exited", 255, State.STOPPED),
        ("exited", 137, State.CRASHED),
        ("exited", 1, State.CRASHED),
        ("created", 0, State.CRASHED),
        ("dead", 0, State.CRASHED),
        ("restarting", 0, State.STARTING),
        ("removing", 0, State.STOPPING),
    ],
)
def test_states(status: str, code: int, state: State) -> None:
    assert container.state_of({"State": {"Status": status, "ExitCode": code}}) is state


def test_out_of_memory_is_no_wish_to_stop() -> None:
    assert container.state_of({"State": {"Status": "exited", "ExitCode": 0, "OOMKilled": True}}) is State.CRASHED


def test_sessions_see_the_variables_of_the_image() -> None:
    line = init.session_environment({"PATH": "/opt/x:/bin", "A": 'say "hi" \\', "HOME": "/root", "B": "two\nlines"})
    assert line == 'SetEnv "A=say \\"hi\\" \\\\" "PATH=/opt/x:/bin"\n'
    assert init.session_environment({"HOME": "/root"}) == ""


def test_files_are_roots_and_their_folders_too() -> None:
    files = inside.first_files(Limits(60, 600), b"private", "ssh-ed25519 AAAA")
    with tarfile.open(fileobj=io.BytesIO(inside.archive(files))) as tar:
        found = {member.name: member for member in tar.getmembers()}
    assert all((member.uid, member.gid) == (0, 0) for member in found.values())
    assert found["etc/dsenv/ssh/host_key"].mode == 0o600
    assert found["etc/dsenv/ssh"].isdir()
    assert "etc" not in found
    assert "usr/local/lib" not in found
    assert not [name for name in found if "systemd" in name]
    assert found["usr/local/lib/dsenv/watch/loop"].mode == 0o755


def test_the_first_process_needs_no_more_than_the_containers_python() -> None:
    source = Path(init.__file__).read_text()
    compile(source, "init", "exec", dont_inherit=True)
    imported = {line.split()[1] for line in source.splitlines() if line.strip().startswith(("import ", "from "))}
    assert imported <= {"__future__", "os", "pwd", "signal", "subprocess", "sys", "time"}


def test_settings_for_the_index_go_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "SSL_CERT_FILE" not in build.index_settings()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("UV_INDEX_ACME_PASSWORD", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.invalid")
    monkeypatch.setenv("UNRELATED", "x")
    found = build.index_settings()
    assert found["SSL_CERT_FILE"] == build.CERTIFICATES
    assert found["UV_INDEX_ACME_PASSWORD"] == "secret"
    assert found["HTTPS_PROXY"] == "http://proxy.example.invalid"
    assert "UNRELATED" not in found
    assert build.certificates() == b"certificates"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    with pytest.raises(ProviderError, match="SSL_CERT_FILE"):
        build.certificates()


def test_an_environment_that_cannot_be_installed() -> None:
    with pytest.raises(InstallError, match="in the image: the disk is full") as caught:
        image._check_environment(3, [b'{"error": {"message": "the disk is full", "hint": "h"}}'], "3.12")
    assert caught.value.hint == "h"
    with pytest.raises(InstallError, match="the image has no Python") as caught:
        image._check_environment(3, [b'{"error": {"message": "Python 3.12 is not on this machine"}}'], "3.12")
    assert caught.value.hint is not None
    assert "python:3.12-slim-bookworm" in caught.value.hint
    with pytest.raises(InstallError) as caught:
        image._check_environment(1, [b"Traceback", b"OSError: x"], "3.12")
    assert caught.value.detail == "Traceback\nOSError: x"
    image._check_environment(0, [b'{"step": "verify"}', b'{"environment": {}}'], "3.12")


@pytest.mark.parametrize(
    ("code", "lines", "said", "hint"),
    [
        (91, [], "older than 3.9", "image"),
        (92, [], "no apt-get", "image"),
        (100, [b"E: Unable to locate package libnothing"], "knows no package libnothing", "apt"),
        (100, [b"E: Failed to fetch"], "ended with 100", "network"),
    ],
)
def test_a_system_that_cannot_be_made(code: int, lines: list[bytes], said: str, hint: str) -> None:
    with pytest.raises(ProviderError, match=said) as caught:
        image._check(code, lines, "base", ["libnothing"])
    assert caught.value.hint is not None
    assert hint in caught.value.hint
    image._check(0, [], "base", [])


def test_the_user_inside_has_our_number_where_that_is_an_ordinary_one() -> None:
    own = os.getuid()
    assert image._uid() == (own if 1000 <= own < 60000 else 1000)
