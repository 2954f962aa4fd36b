"""The engine is started when none answers, shared, and ended by whoever leaves last; a missing one fails in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import engine, fixtures, locks

ROOT = Path(__file__).parents[2]

# A dockerd beside the one of this machine. Its network is one of its own: without a bridge it would remove docker0.
SHIM = """#!/bin/sh
exec unshare --net {dockerd} --data-root {here}/data --exec-root {here}/exec --pidfile {here}/pid \
 -H unix://{here}/sock --bridge none --iptables=false "$@"
"""
USER = """
from tests.lab import engine
print(repr(engine.use()), engine.answers(), flush=True)
input()
engine.leave()
print(engine.answers(), flush=True)
"""


@pytest.mark.slow
def test_the_last_user_ends_the_engine(tmp_path: Path) -> None:
    if reason := engine.obstacle():
        fixtures.unavailable(reason)
    # The path of a socket may not be long.
    here = Path("/tmp") / f"dsenv-engine-{os.getpid()}"
    here.mkdir()
    shim = here / "dockerd"
    shim.write_text(SHIM.format(here=here, dockerd="/usr/sbin/dockerd"), encoding="utf-8")
    shim.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{here}:{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{here}/sock",
        "TMPDIR": str(here),
    }
    try:
        users = [_user(environment), _user(environment)]
        assert [_line(user) for user in users] == ["'' True", "'' True"]
        assert [_leave(user) for user in users] == ["True", "False"]
    finally:
        subprocess.run(["rm", "-rf", str(here)], check=False)


def _user(environment: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", USER]
    return subprocess.Popen(argv, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)


def _line(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def _leave(user: subprocess.Popen[str]) -> str:
    said, _ = user.communicate("\n", timeout=60)
    return said.strip()


def test_a_missing_engine_skips_and_in_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    reason = engine.use()
    assert "docker" in reason or "root" in reason
    for variable, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
        monkeypatch.setenv("CI", variable)
        with pytest.raises(outcome, match="no "):
            fixtures.unavailable(reason)


def test_a_lock_is_free_when_its_holder_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    holder = subprocess.Popen(
        [sys.executable, "-c", "from tests.lab import locks; f = locks.take('x'); print('held', flush=True); input()"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert locks.take("x") is None
        with pytest.raises(TimeoutError, match="x stayed locked"), locks.held("x", seconds=0.2):
            pass
        holder.kill()
        holder.wait()
    with locks.held("x", seconds=10):
        assert locks.take("x") is None
