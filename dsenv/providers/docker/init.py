"""The first process of a container: runs its SSH server and its idle watch, reaps, and ends with the container.

This file is copied into the container and run there by `python3 -I -S`: the standard library only, Python >= 3.9.
SIGTERM, from `docker stop` and from the idle watch alike, ends everything in order and then this with exit code 0;
SIGHUP starts the watch anew, after its limits were changed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

FOLDER = "/etc/dsenv"
RUN = "/run/dsenv"
WATCH = "/usr/local/lib/dsenv/watch/loop"
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_GRACE_SECONDS = 6.0
_RETRY_SECONDS = 2.0
_NOT_PASSED = {"HOME", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "TERM", "_", "USER", "LOGNAME", "SHELL", "DEBIAN_FRONTEND"}


def main(arguments: list[str]) -> int:
    """`arguments`: the user inside and its home. Returns the container's exit code."""
    user, home = arguments
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    for number in _SIGNALS - {signal.SIGCHLD}:
        signal.signal(number, lambda *_: None)  # the kernel drops signals that the first process does not handle
    for folder in ("/run/sshd", RUN):
        os.makedirs(folder, 0o755, exist_ok=True)
    _clear(RUN)
    _own(home, user)
    config = f"{RUN}/sshd_config"
    with open(f"{FOLDER}/sshd_config", encoding="utf-8") as source, open(config, "w", encoding="utf-8") as out:
        out.write(source.read() + session_environment(_as_started()))
    return _Children(["/usr/sbin/sshd", "-D", "-e", "-f", config]).run()


def session_environment(environ: dict[str, str]) -> str:
    """The line that gives sessions the variables of the image: sshd starts them with none of its own."""
    words = []
    for name, value in sorted(environ.items()):
        if name in _NOT_PASSED or not name.isidentifier() or "\n" in value:
            continue
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        words.append(f'"{name}={escaped}"')
    return "SetEnv " + " ".join(words) + "\n" if words else ""


def _as_started() -> dict[str, str]:
    """The variables of the image, without what this Python has added to its own for the sake of its locale."""
    with open("/proc/self/environ", "rb") as source:
        words = source.read().decode("utf-8", "surrogateescape").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def _clear(folder: str) -> None:
    """What the time before the last stop has left, such as the watch's state."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            os.unlink(path)


def _own(home: str, user: str) -> None:
    """The volume may be older than the image, in which the user has another number."""
    import pwd

    entry = pwd.getpwnam(user)
    if os.stat(home).st_uid != entry.pw_uid:
        subprocess.run(["chown", "-R", "-h", f"{entry.pw_uid}:{entry.pw_gid}", home], check=False)


class _Children:
    """What this process keeps running."""

    def __init__(self, server: list[str]) -> None:
        self.commands = {"server": server, "watch": ["/bin/sh", WATCH]}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.next: dict[str, float] = {}

    def run(self) -> int:
        """Until a signal says that it is over."""
        while True:
            self._start()
            info = signal.sigtimedwait(_SIGNALS, _RETRY_SECONDS)
            self._reap()
            if info is None or info.si_signo == signal.SIGCHLD:
                continue
            if info.si_signo == signal.SIGHUP:
                watch = self.running.get("watch")
                if watch:
                    watch.terminate()
                continue
            self._end()
            return 0

    def _start(self) -> None:
        now = time.monotonic()
        for name, command in self.commands.items():
            if name in self.running or now < self.next.get(name, 0.0) or not os.path.exists(command[-1]):
                continue
            self.next[name] = now + _RETRY_SECONDS  # one that cannot live is not started in a circle
            try:
                self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_unblock)  # noqa: PLW1509 - no threads here
            except OSError as error:
                sys.stderr.write(f"dsenv: cannot start {command[0]}: {error}\n")

    def _reap(self) -> None:
        for name, child in list(self.running.items()):
            if child.poll() is not None:
                del self.running[name]
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, child in list(self.running.items()):
                if child.pid == pid:  # it ended between the two looks
                    del self.running[name]

    def _end(self) -> None:
        """Ask all processes to end, and make those end that do not."""
        deadline = time.monotonic() + _GRACE_SECONDS
        _signal_all(signal.SIGTERM)
        _signal_all(signal.SIGCONT)
        while time.monotonic() < deadline and _others():
            self._reap()
            time.sleep(0.02)
        _signal_all(signal.SIGKILL)


def _signal_all(number: int) -> None:
    try:
        os.kill(-1, number)  # everybody but ourselves
    except ProcessLookupError:
        return


def _others() -> bool:
    return any(name.isdigit() and name != "1" for name in os.listdir("/proc"))


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
