"""Jobs on a workstation, as folders: `<state>/jobs/<id>/` with job.json, log and, while it runs, a socket.

Making the folder is the lock: whoever makes it starts the job, everybody else attaches. That is why a request
that is sent twice runs once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from typing import Any, Dict, List, Optional

from dsenv.agent import protocol
from dsenv.agent.process import Process

_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
_STARTING_SECONDS = 30.0
_KEPT = 200
_SESSION_SECONDS = 60.0  # that the end of a session can still be asked for
SESSION = "ssh-"  # how the id of a session begins: what `dsenv ssh` opened, and nobody wants back

RUNNING, DONE, LOST = "running", "done", "lost"


class JobError(Exception):
    """There is no such job, or it cannot be used in this way."""


def check_id(name: str) -> str:
    """`name` when it can be a job's id and folder. Raises JobError."""
    if not _ID.match(name):
        raise JobError("{!r} is not a job's id".format(name))
    return name


class Job:
    """One job's folder."""

    def __init__(self, state: str, name: str) -> None:
        self.name = check_id(name)
        self.folder = os.path.join(state, "jobs", name)

    @property
    def log(self) -> str:
        return os.path.join(self.folder, "log")

    def create(self, facts: Dict[str, Any]) -> bool:
        """Make the folder; False when the job was made before. `facts` must hold no secret: it is written down."""
        os.makedirs(os.path.dirname(self.folder), 0o700, exist_ok=True)
        try:
            os.mkdir(self.folder, 0o700)
        except FileExistsError:
            return False
        self.write({"id": self.name, "created": int(time.time() * 1e6), **facts})
        return True

    def remove(self) -> None:
        """Forget the job, its log included."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, facts: Dict[str, Any]) -> None:
        """Replace job.json."""
        temporary = os.path.join(self.folder, "job.json~")
        with open(temporary, "w") as out:
            json.dump(facts, out)
        os.replace(temporary, os.path.join(self.folder, "job.json"))

    def facts(self) -> Dict[str, Any]:
        """What job.json says. Raises JobError when there is no such job."""
        try:
            with open(os.path.join(self.folder, "job.json")) as source:
                value = json.load(source)
        except (OSError, ValueError):
            raise JobError("there is no job {}".format(self.name)) from None
        if not isinstance(value, dict):
            raise JobError("job {} is damaged".format(self.name))
        return value

    def is_session(self) -> bool:
        """Whether it is a shell or a command of one connection, of which nothing is kept."""
        return self.name.startswith(SESSION)

    def ended(self) -> Optional[Dict[str, Any]]:
        """The exit record (`exit`, `signal`, `ended`), or None while there is none."""
        try:
            with open(os.path.join(self.folder, "exit.json")) as source:
                value = json.load(source)
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def supervisor(self) -> Optional[Process]:
        """The process that owns the job, if it lives."""
        try:
            with open(os.path.join(self.folder, "supervisor.json")) as source:
                process = Process.from_json(json.load(source))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return process if process.alive() else None

    def end_command(self) -> None:
        """KILL what a supervisor that was killed has left running; with a supervisor, it is the supervisor's."""
        if self.supervisor() is not None:
            return
        try:
            with open(os.path.join(self.folder, "command.json")) as source:
                process = Process.from_json(json.load(source))
        except (OSError, ValueError, KeyError, TypeError):
            return
        process.signal(signal.SIGKILL, group=True)

    def wait(self, seconds: float) -> None:
        """Wait until the job has ended or is lost, at most for so long."""
        deadline = time.monotonic() + seconds
        while self.status() == RUNNING and time.monotonic() < deadline:
            time.sleep(0.02)

    def status(self) -> str:
        """running, done, or lost: its supervisor died with the machine or was killed."""
        if self.ended() is not None:
            return DONE
        if self.supervisor() is not None:
            return RUNNING
        age = self.idle()
        if self.ended() is not None:
            return DONE  # it ended between the two looks
        young = age < _STARTING_SECONDS and not os.path.exists(os.path.join(self.folder, "supervisor.json"))
        return RUNNING if young else LOST

    def idle(self) -> float:
        """Seconds since it began or ended. Raises JobError when there is no such job."""
        try:
            return time.time() - os.stat(self.folder).st_mtime
        except OSError:
            raise JobError("there is no job {}".format(self.name)) from None

    def describe(self) -> Dict[str, Any]:
        """The facts with status, exit and the size of the log."""
        end = self.ended() or {}
        facts = self.facts()
        try:
            size = os.path.getsize(self.log)
        except OSError:
            size = 0
        return {
            **facts,
            "status": self.status(),
            "exit": end.get("exit"),
            "signal": end.get("signal"),
            "ended": end.get("ended"),
            "log_bytes": size,
        }


def listing(state: str) -> List[Job]:
    """All jobs, oldest first: an id says when."""
    try:
        names = os.listdir(os.path.join(state, "jobs"))
    except OSError:
        return []
    names.sort(key=lambda name: name[len(SESSION) :] if name.startswith(SESSION) else name)
    return [Job(state, name) for name in names if _ID.match(name)]


def running(state: str) -> List[Job]:
    """The jobs that run now."""
    return [job for job in listing(state) if job.status() == RUNNING]


def using(state: str, root: str, group: str) -> List[Job]:
    """Running jobs of other groups that work in the tree `root`."""
    found = []
    for job in running(state):
        try:
            facts = job.facts()
        except JobError:
            continue
        if facts.get("root") == root and not (group and facts.get("group") == group):
            found.append(job)
    return found


def prune(state: str) -> None:
    """Forget sessions that ended with nobody there, and the oldest finished jobs, beyond the number that is kept."""
    found = listing(state)
    for job in found:
        if job.is_session() and job.status() != RUNNING and job.idle() > _SESSION_SECONDS:
            job.remove()
    for job in [job for job in found if not job.is_session()][:-_KEPT]:
        if job.status() != RUNNING:
            release(state, job)
            job.remove()


def release(state: str, job: Job) -> None:
    """Remove the snapshot that a job ran in, if it had one of its own."""
    root = str(job.facts().get("root", ""))
    snapshots = os.path.join(state, "snapshots") + os.sep
    if root.startswith(snapshots) and not using(state, root, ""):
        shutil.rmtree(os.path.dirname(root), ignore_errors=True)


def exit_record(code: Optional[int], number: Optional[int]) -> bytes:
    """The record that ends a job's log."""
    body = json.dumps({"exit": code, "signal": number, "ended": int(time.time() * 1e6)}).encode()
    return protocol.RECORD.pack(protocol.EXIT, len(body)) + body
