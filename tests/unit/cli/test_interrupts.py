"""^C while the package index keeps us waiting: nothing half-made stays, and no child goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.testing.index import PackageIndex, write_wheel

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
INSTALL = """
from pathlib import Path
from dsenv.envs import install, lockfile
from dsenv.events import Cancel, ignore
install.here(lockfile.read(Path("pylock.toml")), emit=ignore, cancel=Cancel())
"""


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements.txt").write_text("alpha\n")
    (tmp_path / "dsenv.toml").write_text(f'[project]\nname = "p"\n[environment]\npython = "{MINOR}"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def interrupt(command: list[str], silence: socket.socket, cache: Path) -> subprocess.CompletedProcess[str]:
    """Start `command`, send it SIGINT when it waits for the index, and return how it ended."""
    environ = os.environ | {
        "UV_DEFAULT_INDEX": f"http://127.0.0.1:{silence.getsockname()[1]}/simple",
        "UV_CACHE_DIR": str(cache),
    }
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        connection, _ = silence.accept()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        connection.settimeout(20)
        # The solver's request, and then the end: it did not outlive its parent.
        while connection.recv(65536):
            pass
        connection.close()
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def test_an_interrupted_lock_leaves_the_project_as_it_was(
    project: Path, silence: socket.socket, tmp_path: Path
) -> None:
    before = sorted(path.name for path in project.iterdir())
    ended = interrupt([sys.executable, "-m", "dsenv", "lock"], silence, tmp_path.parent / "interrupted-cache")
    assert ended.returncode == 130
    assert ended.stdout == ""
    assert sorted(path.name for path in project.iterdir()) == before


def test_an_interrupted_installation_leaves_no_environment(
    project: Path, silence: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(project / "wheelhouse", "alpha", "1.0")
    with PackageIndex(project / "wheelhouse") as index:
        environ = os.environ | {"UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(project / "cache")}
        subprocess.run([sys.executable, "-m", "dsenv", "lock"], check=True, env=environ, capture_output=True)
    ended = interrupt([sys.executable, "-c", INSTALL], silence, project / "empty-cache")
    assert ended.returncode != 0
    assert "KeyboardInterrupt" in ended.stderr
    assert [path.suffix for path in Path(os.environ["DSENV_ENVS_DIR"]).iterdir()] == [".lock"]
