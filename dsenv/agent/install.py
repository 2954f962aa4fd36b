"""Puts a locked environment on disk: staged, checked file by file, renamed into place. POSIX.

A request is one JSON object: `id`, `python`, `requirements` (hashed, one package a line), `uv` (the
executable), `envs_dir`, `wheels` (folder of the packages that come from no index), `index_arguments`.
The answer is an `environment` object. As a verb it reads the request from a file or standard input and writes
JSON lines to stdout: `{"step": ...}` while it works, then `{"environment": ...}`, or `{"error": ...}` and exit code 3.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from dsenv.agent import environments, interpreters, verify

Report = Callable[[Dict[str, Any]], None]
Stop = Callable[[], bool]


class InstallFailedError(Exception):
    """An environment could not be made; what is there is as it was."""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.detail = message, hint, detail


class InstallStoppedError(Exception):
    """The caller asked to stop; nothing half-made is left."""


def install(request: Dict[str, Any], report: Report, stop: Stop = lambda: False) -> Dict[str, Any]:
    """Make the environment of `request`, or find it. Raises InstallFailedError, InstallStoppedError."""
    environ = os.environ
    found = environments.present(request["id"], environ, request.get("envs_dir"))
    if found:
        return found
    root = _writable_root(environments.roots(environ, request.get("envs_dir")))
    with _only_one(os.path.join(root, environments.folder_name(request["id"]) + ".lock"), report, stop) as lock:
        # Another installer may have finished between the first look and the lock.
        found = environments.present(request["id"], environ, request.get("envs_dir"))
        if found is None:
            found = _Build(request, root, report, stop, lock).run()
    environments.collect(root, keep=environments.KEEP, spare=found["prefix"])
    return found


class _Build:
    """One installation, from an empty staging folder to the rename."""

    def __init__(self, request: Dict[str, Any], root: str, report: Report, stop: Stop, lock: int) -> None:
        self.request, self.root, self.report, self.stop, self.lock = request, root, report, stop, lock
        self.prefix = os.path.join(root, environments.folder_name(request["id"]))
        self.staging = self.prefix + environments.STAGING

    def run(self) -> Dict[str, Any]:
        self._clear_leftovers()
        base = interpreters.find(self.request["python"], os.environ)
        if base is None:
            raise missing_python(self.request["python"])
        try:
            with _disk_errors(self.root):
                self._uv("venv", "--quiet", "--relocatable", "--no-project", "--python", base[0], self.staging)
                rung = self._sync()
                manifest = self._verified(base)
                self._write(manifest)
                os.rename(self.staging, self.prefix)
        except BaseException:
            shutil.rmtree(self.staging, ignore_errors=True)
            raise
        return dict(manifest, prefix=self.prefix, rung=rung)

    def _clear_leftovers(self) -> None:
        """What a killed installer left. We hold the lock, so nobody is writing it."""
        for leftover in (self.staging, self.prefix):
            if os.path.lexists(leftover):
                try:
                    shutil.rmtree(leftover)
                except OSError as error:
                    raise InstallFailedError(
                        "cannot remove the incomplete environment {}: {}".format(leftover, error.strerror),
                        hint="remove it by hand: rm -rf {}".format(leftover),
                    ) from error

    def _sync(self) -> str:
        """Install from uv's cache alone if it has everything, else from the index; returns which."""
        with tempfile.TemporaryDirectory(prefix="dsenv-install-") as folder:
            file = os.path.join(folder, "requirements.txt")
            with open(file, "w", encoding="utf-8") as out:
                out.write(self.request["requirements"])
            arguments = ["pip", "sync", "--no-progress", "--require-hashes", "--no-build", "--allow-empty-requirements"]
            arguments += [
                "--python",
                environments.python_of(self.staging),
                *self.request.get("index_arguments", []),
                file,
            ]
            self.report({"step": "packages", "from": "cache"})
            if self._attempt(*arguments, "--offline").returncode == 0:
                return "cache"
            self.report({"step": "packages", "from": "index"})
            self._uv(*arguments)
        return "index"

    def _uv(self, *arguments: str) -> None:
        done = self._attempt(*arguments)
        if done.returncode:
            raise explain(done.stderr.decode("utf-8", "replace"))

    def _attempt(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        environ = {name: value for name, value in with_pips_index(os.environ).items() if name not in _DISTURBING}
        # Files are copied: hard links would make an edit in one environment an edit of the cache and of all others.
        environ.setdefault("UV_LINK_MODE", "copy")
        environ.update(UV_PYTHON_DOWNLOADS="never", DSENV_WHEELS=self.request.get("wheels") or "/nowhere")
        # uv holds the lock too: when we are killed it goes on writing for a while, and nobody may build beside it.
        return run_until(self.stop, [self.request["uv"], *arguments], environ, (self.lock,))

    def _verified(self, base: Tuple[str, str]) -> Dict[str, Any]:
        self.report({"step": "verify"})
        minor = ".".join(base[1].split(".")[:2])
        checked = verify.check(os.path.join(self.staging, "lib", "python" + minor, "site-packages"))
        if checked.problems:
            raise InstallFailedError(
                "installed files are not what their packages say: the package cache is damaged or was tampered with",
                hint="empty it with `uv cache clean` (dsenv brings uv: python3 -m uv cache clean), then repeat",
                detail="\n".join(checked.problems[:20]),
            )
        return {
            "format": environments.FORMAT,
            "id": self.request["id"],
            "python": {"version": base[1], "base": base[0]},
            "content": checked.content,
            "files": checked.files,
            "bytes": checked.size,
            "created": int(time.time()),
        }

    def _write(self, manifest: Dict[str, Any]) -> None:
        with open(os.path.join(self.staging, environments.MANIFEST), "w", encoding="utf-8") as out:
            json.dump(manifest, out, indent=1)
            out.flush()
            os.fsync(out.fileno())


_UNREACHABLE = ("dns error", "connection refused", "error sending request", "timed out", "failed to fetch")

# A user's own settings of these would build another environment than the lock's.
_DISTURBING = frozenset({
    "UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE_NEWER", "UV_NO_BINARY",
    "UV_TARGET", "UV_PREFIX", "UV_COMPILE_BYTECODE", "UV_RESOLUTION", "UV_PRERELEASE",
    "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME",
})  # fmt: skip


def with_pips_index(environ: Mapping[str, str]) -> Dict[str, str]:
    """`environ`, in which uv uses the index that pip was told to use where nothing told uv another."""
    values = dict(environ)
    if "PIP_INDEX_URL" in values and not values.get("UV_DEFAULT_INDEX") and not values.get("UV_INDEX_URL"):
        values["UV_DEFAULT_INDEX"] = values["PIP_INDEX_URL"]
    return values


def run_until(
    stop: Stop, argv: List[str], environ: Mapping[str, str], keep_open: Tuple[int, ...] = ()
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program with its output kept; end it when `stop()` says so. Raises InstallFailedError too."""
    try:
        with tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=dict(environ),
                cwd="/",
                pass_fds=keep_open,
            )
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        code = child.wait(0.05)
                        break
                    if stop():
                        raise InstallStoppedError
            except BaseException:
                child.kill()
                child.wait()
                raise
            errors.seek(0)
            return subprocess.CompletedProcess(argv, code, b"", errors.read(1 << 20))
    except OSError as error:
        raise InstallFailedError("cannot run {}: {}".format(argv[0], error.strerror)) from error


def out_of_reach(text: str) -> Optional[Tuple[str, str]]:
    """What is wrong and what to do about it, where uv says that it did not get to the package index."""
    lower = text.lower()
    if "status client error" in lower or not any(word in lower for word in _UNREACHABLE):
        return None
    if "certificate" in lower:
        return (
            "the package index shows a certificate that is not trusted here",
            "behind a proxy that opens TLS: export UV_SYSTEM_CERTS=true, or SSL_CERT_FILE=FILE; then repeat",
        )
    return "the package index cannot be reached", "check the network or UV_DEFAULT_INDEX, then repeat"


def explain(text: str) -> InstallFailedError:
    """uv's words as our error: what failed, and what to do about it."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Using Python")]
    detail = "\n".join(lines[-12:])
    lower = text.lower()
    if "hash mismatch" in lower:
        return InstallFailedError(
            "a downloaded package is not the one in the lock: its hash differs",
            hint="find out who changed it; `dsenv lock` takes what the index has now",
            detail=detail,
        )
    if "no space left" in lower or "disk quota exceeded" in lower:
        return InstallFailedError(
            "the disk is full", hint="free some space (`dsenv doctor` shows where), then repeat", detail=detail
        )
    unreachable = out_of_reach(text)
    if unreachable:
        return InstallFailedError(unreachable[0], hint=unreachable[1], detail=detail)
    return InstallFailedError(
        "the packages could not be installed", hint="run `dsenv lock`, then repeat", detail=detail
    )


def missing_python(wanted: str) -> InstallFailedError:
    """The error for a machine that lacks the Python of the lock."""
    minor = ".".join(wanted.split(".")[:2])
    return InstallFailedError(
        "Python {} is not on this machine".format(wanted),
        hint="install it: `apt-get install python{0}`, `uv python install {0}` or `pyenv install {0}`".format(minor),
    )


def _writable_root(choices: List[str]) -> str:
    last = "no folder"
    for root in choices:
        try:
            os.makedirs(root, mode=0o755, exist_ok=True)
        except OSError as error:
            last = "{}: {}".format(root, error.strerror)
            continue
        if environments.writable(root):
            return root
        last = "{}: is not writable, or others than you and root can write to it".format(root)
    raise InstallFailedError(
        "there is no place for environments ({})".format(last), hint="set DSENV_ENVS_DIR to a folder of yours"
    )


@contextlib.contextmanager
def _only_one(file: str, report: Report, stop: Stop) -> Iterator[int]:
    """Hold the lock of one environment; yields its open file."""
    import fcntl

    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InstallFailedError("cannot open {}: {}".format(file, error.strerror), hint="free some space") from error
    try:
        waited = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not waited:
                    report({"step": "waiting"})
                waited = True
            if stop():
                raise InstallStoppedError
            time.sleep(0.05)
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_errors(root: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InstallFailedError(
            "cannot write in {}: {}".format(root, error.strerror), hint="free some space or set DSENV_ENVS_DIR"
        ) from error


def _read_json(file: str) -> Any:
    with open(file, encoding="utf-8") as stream:
        return json.load(stream)


def main(arguments: List[str]) -> int:
    """The verb: `install REQUEST.json`, or `install -` for a request on standard input."""
    if len(arguments) != 1:
        sys.stderr.write("usage: agent install REQUEST.json|-\n")
        return 2

    def report(message: Dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    try:
        request = json.load(sys.stdin) if arguments[0] == "-" else _read_json(arguments[0])
        report({"environment": install(request, report)})
    except InstallFailedError as problem:
        report({"error": {"message": problem.message, "hint": problem.hint, "detail": problem.detail}})
        return 3
    except (OSError, ValueError, KeyError) as error:
        report({"error": {"message": "cannot read the request: {!r}".format(error), "hint": "", "detail": ""}})
        return 3
    return 0
