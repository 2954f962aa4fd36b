"""The agent's endpoint: `python3 -I -S AGENT serve`, frames on standard input and output.

A client sends requests (JSON with `op`) one after the other; each is answered by REPLY or ERROR. It may send
`sync` with its data and `run` in one flight: when the sync is refused, nothing runs.

    hello                                                             -> format
    sync     tree, base, job, force; then DATA..., END {generation}   -> root, snapshot, generation, displaced
             when `base` is not what is here: DATA... (the entries here as JSON), then REPLY with `mismatch`
    run      job, root or the last sync's, argv, ...                  -> job, created; then as attach unless `detach`
    attach   job, offset                                              -> LOG..., then REPLY with `ended`
    jobs     (job)                                                    -> jobs
    cancel   job, signal, grace                                       -> status
    outputs  root                                                     -> DATA... (a list as JSON), then REPLY
    get      root, known                                              -> DATA... (records), then REPLY
    record   store, run                                               -> names: the keys of the run's record there
    watch                                                             -> state, now, stopped: what keeps it up
    release  job                                                      -> removes the job's snapshot
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional

from dsenv.agent import detached, jobs, outputs, protocol, records, relay, tree
from dsenv.agent.apply import ApplyError, Staging, copy_tree
from dsenv.agent.idle import watch
from dsenv.agent.launch import command, environment
from dsenv.agent.trees import TreeState

FORMAT = 1
_LOCK_SECONDS = 30.0
_END_SECONDS = 2.0


class RefusalError(Exception):
    """A request that is answered by ERROR; `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Endpoint:
    """One client's connection."""

    def __init__(self, source: int, target: int, home: str) -> None:
        self._link = relay.Link(source, target)
        self._home = home
        self._state = os.path.join(home, ".dsenv")
        self._root: Optional[str] = None  # where the last sync put the tree; None when it was refused
        self._synced = False
        self._lock: Optional[int] = None
        self._operations: Dict[str, Callable[[Dict[str, Any]], None]] = {
            "hello": lambda _: self._reply(format=FORMAT),
            "sync": self._sync,
            "run": self._run,
            "attach": self._attach,
            "jobs": self._jobs,
            "cancel": self._cancel,
            "outputs": self._outputs,
            "get": self._get,
            "record": self._record,
            "watch": lambda _: self._reply(**watch.report()),
            "release": self._release,
        }

    def serve(self) -> None:
        """Answer requests until the client closes."""
        while True:
            frame = self._link.receive()
            if frame is None:
                return
            kind, payload = frame
            if kind != protocol.REQUEST:
                continue  # the rest of a request that was refused, or input for a job that has ended
            request = protocol.decode_json(payload)
            operation = self._operations.get(str(request.get("op")))
            try:
                if operation is None:
                    raise RefusalError("unknown", "this agent does not know the request {!r}".format(request.get("op")))
                operation(request)
            except (RefusalError, ApplyError, jobs.JobError, tree.UnsafePathError, OSError, KeyError) as error:
                self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        codes = {ApplyError: "conflict", jobs.JobError: "no-job", tree.UnsafePathError: "path", KeyError: "unknown"}
        code = error.code if isinstance(error, RefusalError) else codes.get(type(error), "system")
        message = str(error)
        if isinstance(error, OSError):
            message = "{}{}".format(error.strerror or error, ": " + str(error.filename) if error.filename else "")
        self._link.send(protocol.encode_json(protocol.ERROR, {"code": code, "message": message}))

    def _reply(self, **fields: Any) -> None:
        self._link.send(protocol.encode_json(protocol.REPLY, fields))

    def _send_json(self, value: Any) -> None:
        for frame in records.compress(iter([json.dumps(value).encode("ascii")])):
            self._link.send(frame)

    # --- sync

    def _sync(self, request: Dict[str, Any]) -> None:
        self._synced, self._root = False, None
        name = jobs.check_id(str(request["tree"]))
        self._acquire(name)
        state = TreeState.load(self._state, name, os.path.join(self._home, name))
        drifted = state.forget_changed()
        staging = Staging(os.path.join(state.folder, "stage"))
        try:
            reader = records.Reader(staging)
            main = tree.generation(state.tree.entries)
            if main != request["base"]:
                self._skip_data()
                self._send_json(tree.entries_to_json(state.tree.entries))
                self._reply(mismatch=True, drifted=drifted)
                return
            wanted = self._receive_batch(reader)
            self._commit(request, state, staging, main, wanted, bool(drifted))
        finally:
            staging.close()

    def _receive_batch(self, reader: records.Reader) -> str:
        failure: Optional[Exception] = None
        while True:
            kind, payload = self._link.need()
            if kind == protocol.END:
                break
            if kind != protocol.DATA:
                raise protocol.ProtocolError("expected data, not {!r}".format(kind))
            if failure is None:
                try:
                    reader.feed(payload)
                except (OSError, tree.UnsafePathError) as error:
                    failure = error  # read on, so that the answer is to the whole request
        if failure is not None:
            raise failure
        if not reader.complete:
            raise protocol.ProtocolError("the data ended inside a file")
        return str(protocol.decode_json(payload)["generation"])

    def _skip_data(self) -> None:
        while self._link.need()[0] != protocol.END:
            pass

    def _commit(
        self, request: Dict[str, Any], state: TreeState, staging: Staging, main: str, wanted: str, drifted: bool
    ) -> None:
        nothing = not staging.staged and not staging.deleted
        busy = jobs.using(self._state, state.tree.root, "")
        snapshot = bool(busy) and not request.get("force")
        if snapshot and not request.get("job"):
            if nothing:
                snapshot = False
            else:
                raise RefusalError("busy", "run {} is using the files on the workstation".format(busy[0].name))
        if snapshot:
            folder = os.path.join(self._state, "snapshots", jobs.check_id(str(request["job"])))
            root = os.path.join(folder, state.name)
            copy_tree(state.tree.root, root)
            state = state.moved(folder, root)
        with _uninterrupted():
            state.tree.apply(staging)
            found = main if nothing else tree.generation(state.tree.entries)
            if snapshot or drifted or not nothing:
                state.save()
        staging.close()
        if found != wanted:
            raise protocol.ProtocolError("the tree is {} and not {} after the sync".format(found, wanted))
        self._root, self._synced = state.tree.root, True
        self._reply(
            root=state.tree.root,
            snapshot=snapshot,
            generation=main if snapshot else found,
            displaced=state.tree.displaced,
            kept=state.tree.kept,
        )

    def _acquire(self, name: str) -> None:
        """One writer for each tree, until its job has started or the connection ends."""
        self._unlock()
        folder = os.path.join(self._state, "trees", name)
        os.makedirs(folder, 0o700, exist_ok=True)
        lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise RefusalError("busy", "another dsenv is changing {}".format(name)) from None
                time.sleep(0.02)
            else:
                self._lock = lock
                return

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- jobs

    def _run(self, request: Dict[str, Any]) -> None:
        job = jobs.Job(self._state, str(request["job"]))
        root = request.get("root") or (self._root if self._synced else None)
        if root is None:
            raise RefusalError("not-synced", "the files were not brought up to date, so nothing was run")
        if not os.path.isdir(root):
            raise RefusalError("no-root", "there is no folder {} on the workstation".format(root))
        facts = {key: request.get(key) for key in ("argv", "task", "project", "group", "tty")}
        created = job.create({**facts, "root": root})
        if created:
            jobs.prune(self._state)
            spec = {**request, "root": root, "argv": command(request, root)}
            try:
                detached.start(job, spec, environment(request, os.environ))
            except OSError:
                job.remove()  # so that the same request can be repeated
                raise
        self._unlock()
        self._reply(job=job.name, created=created, root=root)
        if not request.get("detach"):
            self._follow(job, int(request.get("offset") or 0))

    def _attach(self, request: Dict[str, Any]) -> None:
        job = jobs.Job(self._state, str(request["job"]))
        job.facts()
        self._follow(job, int(request.get("offset") or 0), wait=bool(request.get("follow", True)))

    def _follow(self, job: jobs.Job, offset: int, *, wait: bool = True) -> None:
        connection = detached.connect(job) if wait else None
        reached = self._link.relay(connection, offset) if connection is not None else offset
        if reached is not None:
            if connection is not None:
                job.wait(_END_SECONDS)  # a supervisor that was killed closes before it is seen to be gone
            self._link.send_file(job.log, reached)
        outcome = _outcome(job)
        self._reply(ended=True, **outcome)
        if job.is_session() and outcome["status"] != jobs.RUNNING:
            job.remove()  # what a shell has shown is nobody's later

    def _jobs(self, request: Dict[str, Any]) -> None:
        name = request.get("job")
        found = [jobs.Job(self._state, str(name))] if name else jobs.listing(self._state)
        self._reply(jobs=[job.describe() for job in found])

    def _cancel(self, request: Dict[str, Any]) -> None:
        """Ask a job to end, and after the grace (seconds) make it end."""
        job = jobs.Job(self._state, str(request["job"]))
        job.facts()
        for name, grace in ((str(request.get("signal") or "TERM"), float(request.get("grace") or 10)), ("KILL", 5.0)):
            connection = detached.connect(job)
            if connection is None:
                break
            with connection:
                connection.sendall(protocol.encode_json(protocol.SIGNAL, {"name": name}))
                job.wait(grace)
        job.end_command()
        self._reply(**_outcome(job))

    # --- results

    def _outputs(self, request: Dict[str, Any]) -> None:
        state = TreeState.of_root(self._state, str(request["root"]))
        self._send_json(outputs.listing(state.tree))
        self._reply(root=state.tree.root)

    def _get(self, request: Dict[str, Any]) -> None:
        missing: List[str] = []
        for frame in records.compress(outputs.contents(str(request["root"]), dict(request["known"]), missing)):
            self._link.send(frame)
        self._reply(missing=missing)

    def _record(self, request: Dict[str, Any]) -> None:
        self._reply(names=outputs.record_keys(str(request["store"]), str(request["run"])))

    def _release(self, request: Dict[str, Any]) -> None:
        jobs.release(self._state, jobs.Job(self._state, str(request["job"])))
        self._reply()


def _outcome(job: jobs.Job) -> Dict[str, Any]:
    facts = job.describe()
    return {key: facts.get(key) for key in ("id", "status", "exit", "signal", "root")}


class _uninterrupted:  # noqa: N801 - reads as the verb it is in a `with`
    """A change that was begun is finished: the end of the connection must not stop it half-way."""

    _numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE)

    def __enter__(self) -> None:
        self._before = [signal.signal(number, signal.SIG_IGN) for number in self._numbers]

    def __exit__(self, *error: object) -> None:
        for number, handler in zip(self._numbers, self._before):
            signal.signal(number, handler)


def main(arguments: List[str]) -> int:
    """Serve one client on standard input and output. Exit code 1 when the connection was cut or made no sense."""
    try:
        Endpoint(0, 1, os.path.expanduser("~")).serve()
    except BrokenPipeError:
        return 1
    except protocol.ProtocolError as error:
        sys.stderr.write("agent: {}\n".format(error))
        return 1
    return 0
