"""Keeps the record of a run while its command runs and when it has ended. Whatever fails here, the command goes on."""

from __future__ import annotations

import os
import select
import threading
import time
import zlib
from contextlib import suppress
from functools import partial
from itertools import chain
from time import monotonic, time_ns

from dsenv import __version__
from dsenv.agent import fingerprint, jsontext
from dsenv.agent.capture import codetree, evidence, facts, judge, oom, ownlimits, record, watch
from dsenv.agent.capture.blackbox import Seen
from dsenv.agent.capture.boxlog import BoxLog
from dsenv.agent.capture.checkpoint import Checkpoint, step_back
from dsenv.agent.capture.options import Options, Project
from dsenv.agent.capture.outputlog import OutputLog
from dsenv.agent.capture.spool import Spool, sweep
from dsenv.agent.layout import FORMAT
from dsenv.agent.light import TYPE_CHECKING, cast
from dsenv.agent.redact import Redactor
from dsenv.agent.store import StoreWriteError, Writer, open_writer

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

    from dsenv.agent.schema import Started

_HEARTBEAT = 5.0
_PYTHON_WAIT = 0.02
_RESERVED = 64 << 10
_TIDY_EVERY = 16


class Keeper(threading.Thread):
    """Works beside the command; `finish` is called when it has ended."""

    def __init__(self, options: Options, project: Project, store: str, run_id: str, spool: Optional[Spool]) -> None:
        super().__init__(name="record", daemon=True)
        self.options, self.project, self.store, self.run_id = options, project, store, run_id
        self.spool = spool
        self.redactor = Redactor()
        self.trouble: List[str] = []
        self.output = OutputLog(self.redactor, self.trouble.append)
        self.box = BoxLog(self.redactor, project.root, self.trouble.append)
        self.seen = Seen([], [], None)  # what the black box saw, when the command has ended
        self.writer: Optional[Writer] = None
        self.started: Started = {}
        self.watcher: Optional[watch.Watcher] = None
        self.checkpoint: Optional[Checkpoint] = None
        self._ended = threading.Event()
        self._read = 0
        self._python: Optional[Dict[str, Any]] = None
        self._place: Dict[str, Any] = {}
        self._complete = False
        self._beaten = monotonic()
        self._killed = self._kills()
        self._ulimits = ownlimits.lift()

    def _kills(self) -> Tuple[Optional[int], Optional[int]]:
        return oom.kills(), oom.counted(self.options.killed)

    def prepare(self, environ: Mapping[str, str], command: Mapping[str, Any]) -> None:
        """What is known at the start. `command` has cwd, pid, started, hash_seed, umask and its time-out."""
        self._environ = dict(environ)
        system = os.uname()
        env = self.redactor.env(environ)  # first: what is secret there is hidden everywhere
        self.started = cast(
            "Started",
            {
                "format": FORMAT,
                "id": self.run_id,
                "kind": self.options.kind,
                "project": self.project.name,
                "task": self.options.task or None,
                "command": self.redactor.argv(self.options.command),
                "host": dict(zip(("name", "system", "machine"), (system.nodename, system.sysname, system.machine))),
                "dsenv": __version__,
                "env": env,
                "redactions": self.redactor.found,
                **command,
            },
        )

    def start(self) -> None:
        # Before this thread steps back: what it starts would stand behind with it, and see what is read too late.
        self._watch_inputs()
        super().start()

    def run(self) -> None:
        step_back()
        self.output.start()
        try:
            self._keep()
        except Exception as problem:  # noqa: BLE001 - a traceback would go to the command's stderr
            self.trouble.append("{}: {}".format(type(problem).__name__, problem))
        finally:
            self.output.attach_if_not(None)

    def _watch_inputs(self) -> None:
        if self.spool is None or self.options.replay or not (self.started["pid"] and hasattr(select, "poll")):
            return
        wanted = watch.Wanted(
            self.project.root,
            self.project.marked,
            self.started["cwd"],
            self.options.command,
            self.options.inputs,
            self._avoid(),
            self.started["started"] * 1000,
        )
        self.watcher = watch.Watcher(wanted, self.spool, self.started["pid"])
        self.watcher.start()

    def _avoid(self) -> Tuple[str, ...]:
        """What is our own: folders, and the archive that we are, whose modules are read as they are needed."""
        spool = (self.spool.folder,) if self.spool else ()
        return (self.store, *spool, *filter(os.path.isfile, (_own_place(),)))

    def _keep(self) -> None:
        try:
            self.writer = open_writer(self.store, self._environ)
            self._put("started.json", self.started)
            self.writer.put(record.key(self.run_id, "heartbeat"), _now())
            self.writer.put(record.index_key(self.run_id, "running"), jsontext.dumps(record.summary(self.started)))
            self.output.attach(self.writer.log(record.key(self.run_id, "output")))
            if self.spool is not None and not self.options.replay:
                seen = self.watcher.so_far if self.watcher is not None else _nothing
                self.checkpoint = Checkpoint(self.spool, self.writer, self.run_id, seen)
            put = partial(self.writer.put, record.key(self.run_id, "blackbox.jsonl"))
            self.box.attach(put, self.checkpoint.add if self.checkpoint is not None else None)
            self.writer.put(record.key(self.run_id, "reserved"), bytes(_RESERVED))
        except StoreWriteError as error:
            self.trouble.append(str(error))
            self.output.attach_if_not(None)
            if self.writer is None:
                return
        for step in (self._snapshot, self._describe):
            self._try(step)
        sweep(self.store, self._environ)
        with suppress(StoreWriteError):  # who may write there may not list it, perhaps
            self._tidy()
        if not self._ended.is_set():
            self._describe_libraries()
            _load_the_rest()
        self._beat()

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (StoreWriteError, OSError, ValueError) as error:
            self.trouble.append("{}: {}".format(step.__name__.strip("_"), error))

    def _tidy(self) -> None:
        """Every so many runs one of them keeps the index readable at any size, for as long as its command lives."""
        if self.writer is None or zlib.crc32(self.run_id.encode()) % _TIDY_EVERY:
            return
        from dsenv.agent.store import pages

        today = self.started["started"] / 1e6
        for day, enough in ((today, pages.ENOUGH), (today - 86400, pages.ENOUGH // 8)):
            for status in ("failed", "succeeded"):
                prefix = time.strftime("index/%Y/%m/%d/", time.gmtime(day)) + status + "/"
                pages.gather(self.writer, prefix, self._stop_tidying, enough)

    def _stop_tidying(self) -> bool:
        if monotonic() - self._beaten > _HEARTBEAT:
            self._beat_once()
        return self._ended.is_set()

    def _snapshot(self) -> None:
        if self.options.replay or self.writer is None:
            return
        opened: Callable[[str], None] = _nobody
        if self.watcher is not None:
            self.watcher.ready.wait()
            opened = self.watcher.own
        self.started["code"] = codetree.snapshot(
            self.project.root,
            self.writer,
            marked=self.project.marked,
            avoid=self._avoid(),
            environ=self._environ,
            since_ns=self.started["started"] * 1000,
            opened=opened,
        )

    def _describe(self) -> None:
        """Environment and fingerprint, as soon as a Python of the command has said what it is."""
        self._place = fingerprint.collect(self._environ, libraries=False)  # meanwhile
        deadline = monotonic() + _HEARTBEAT
        while self._python is None and not self._ended.is_set() and monotonic() < deadline:
            self._look_for_python()
            self._ended.wait(_PYTHON_WAIT)
        self._look_for_python()
        self._set_environment()
        self._put("started.json", self.started)

    def _describe_libraries(self) -> None:
        """The command lives on: there is time for what must be loaded to be known, of its Python if that is ours."""
        python = self.started.get("fingerprint", {}).get("python", {})
        if "build" in python:
            python.update(fingerprint.library_facts())

    def _look_for_python(self) -> None:
        if self.spool is not None and self._python is None:
            self._python = next((event for event in self.spool.events() if event.get("e") == "python"), None)

    def _set_environment(self) -> None:
        lock = facts.read_lock(self.options.lock, self.project.root)
        self.started["environment"] = facts.environment(self._python, lock, self.writer, self.project.name)
        self.started["fingerprint"] = facts.place(self._place, self._python, self._ulimits)
        self._complete = self._python is not None

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT):
            self._beat_once()
            if not self._complete:
                self._look_for_python()

    def _beat_once(self) -> None:
        self._beaten = monotonic()
        if self.writer is not None:
            with suppress(StoreWriteError):  # a store that was away may be back at the next beat, and at the end
                self.writer.put(record.key(self.run_id, "heartbeat"), _now())

    def finish(self, values: Dict[str, Any], stdin: Optional[bytes]) -> Dict[str, Any]:
        """Write the record of a command that ended. Returns it, with `store` and `record`, for `--json`."""
        self._ended.set()
        if self.watcher is not None:
            self.watcher.stop()
        self.join()
        self.box.close()
        if self.checkpoint is not None:
            self.checkpoint.close()
        self.output.close()
        if self.writer is None:
            return dict(
                cast("Dict[str, Any]", self.started), **values, trouble=self.trouble, store=self.store, record=None
            )
        if not self._complete and self.spool is not None:
            self._look_for_python()
            if self._python is not None:
                self._try(self._set_environment)
        seen = self.watcher.finish() if self.watcher is not None else []
        told = record.gather(chain(self.spool.events() if self.spool else (), seen))
        if self.watcher is not None:
            self.trouble += self.watcher.trouble
        ending = self._ending(values, told)
        record.redact(told.failures, self.redactor)
        if told.numeric:
            # Of several programs it is the one that ended last: the command itself, most often.
            self.started.setdefault("fingerprint", {})["numeric"] = told.numeric[-1]
        frames, found, related = judge.judge(told, ending, self.project.root)
        values.update(signature=found, related=related, output_bytes=self.output.size)
        written = self._write(told, frames, values, stdin)
        return dict(written, store=self.writer.url, record=record.key(self.run_id, ""))

    def _ending(self, values: Dict[str, Any], told: record.Told) -> judge.Ending:
        """How the command ended, with what was seen from outside added to what its processes told."""
        killed = self._kills() != self._killed
        if values["signal"] is not None and not self.seen.fatal:
            from dsenv.agent.capture import dumps

            # A program that uses faulthandler itself has written its stack to stderr, and nothing for us.
            said = dumps.parse(self.output.last_of_stderr(), self.started["pid"])
            self.seen.fatal.extend((self.started["pid"], dump) for dump in said if dump.signal == values["signal"])
        told.failures.extend(
            evidence.failures(self.seen, failed=values["status"] == "failed", killed=killed and self.seen.sent is None)
        )
        evidence.complete(told.failures, self.project.root, self.started["cwd"], told.pythons)
        if self.seen.sent is not None:
            return judge.Ending(None, self.seen.sent, "time-out")
        by_kill = values["signal"] == "SIGKILL" or values["exit"] == judge.KILLED
        return judge.Ending(values["exit"], values["signal"], oom.CAUSE if killed and by_kill else None)

    def _write(self, told: record.Told, frames: Any, values: Dict[str, Any], stdin: Optional[bytes]) -> Dict[str, Any]:
        writer = self.writer
        assert writer is not None
        copies = self.spool.copies if self.spool else ""
        stored = self.checkpoint.kept if self.checkpoint is not None else None
        inputs, trouble = record.store_inputs(told.inputs, copies, writer, stored)
        self.trouble += trouble + told.trouble
        values["inputs"] = len(inputs)
        if stdin:
            kept = self.redactor.data(stdin, "stdin", values["stdin"].get("kind", ""))
            values["stdin"]["redacted"] = kept != stdin
            self._try(lambda: values["stdin"].update(blob=writer.blob(kept)))
        self._try(lambda: self._put("frames.json", frames))
        lines = b"".join(jsontext.dumps(item) + b"\n" for item in inputs)
        self._try(lambda: writer.put(record.key(self.run_id, "inputs.jsonl"), lines))
        if told.draws:
            draws = b"".join(jsontext.dumps(item) + b"\n" for item in told.draws)
            self._try(lambda: writer.put(record.key(self.run_id, "random.jsonl"), draws))
        values.update(trouble=self.trouble)
        finished = cast("Dict[str, Any]", record.complete(self.started, values))
        self._try(lambda: self._conclude(writer, finished))
        return finished

    def _conclude(self, writer: Writer, finished: Dict[str, Any]) -> None:
        """The end of the record, for which room was kept on the disk."""
        writer.delete(record.key(self.run_id, "reserved"))
        self._put("record.json", finished)
        writer.put(record.index_key(self.run_id, finished["status"]), jsontext.dumps(record.summary(finished)))
        writer.delete(record.index_key(self.run_id, "running"))
        writer.delete(record.key(self.run_id, "heartbeat"))

    def _put(self, name: str, value: Any) -> None:
        assert self.writer is not None
        self.writer.put(record.key(self.run_id, name), jsontext.dumps(value))


def _load_the_rest() -> None:
    """Our modules that are needed at the end, while we are there: archives are replaced under programs."""
    with suppress(ImportError):
        from dsenv.agent.capture import dumps, processes  # noqa: F401 - kept in sys.modules


def _nothing(known: Set[str]) -> List[Dict[str, Any]]:
    """What is seen from outside where nobody looks."""
    return []


def _nobody(path: str) -> None:
    """Hears of what this process opens itself, where nobody else wants to."""


def _now() -> bytes:
    return str(time_ns() // 1000).encode()


def _own_place() -> str:
    """What `dsenv.agent` is imported from: a folder, or the archive that we are."""
    return os.path.realpath(__file__.rpartition(os.sep + os.path.join("dsenv", "agent"))[0])
