from __future__ import annotations

import os
import signal
import subprocess
import sys

from dsenv.agent.process import Process, boot_id, started


def test_a_living_process_is_known_again() -> None:
    me = Process.of(os.getpid())
    assert me.alive()
    assert Process.from_json(me.to_json()) == me
    assert boot_id() == me.boot != ""


def test_a_recycled_pid_is_another_process() -> None:
    me = Process.of(os.getpid())
    other = me._replace(started="1")
    assert not other.alive()
    assert not other.signal(signal.SIGKILL)


def test_nothing_survives_a_boot() -> None:
    me = Process.of(os.getpid())
    assert not me.alive(lambda: "another boot")
    assert not me.signal(signal.SIGKILL, boot=lambda: "another boot")


def test_the_dead_and_zombies_are_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    process = Process.of(child.pid)
    assert process.signal(signal.SIGKILL, group=True)
    while process.alive():
        pass
    assert started(child.pid) == ""
    assert child.stdin
    child.stdin.close()
    child.wait()
    assert not process.signal(signal.SIGTERM)
