"""The process that owns one job: it starts the command, keeps its output, and serves whoever wants to follow.

It outlives the connection that asked for the job. Output goes to a log of records; followers are sent the log
from any offset through a socket in the job's folder, and may send standard input, signals and window sizes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import termios
import time
from typing import Any, Callable, Dict, List, Optional

from dsenv.agent import child, protocol
from dsenv.agent.joblog import Log
from dsenv.agent.jobs import Job, exit_record
from dsenv.agent.process import Process

_BLOCK = 1 << 16
_LINGER = 0.5  # seconds that output may still come from others after the command itself has ended
_LOOK_SECONDS = 0.1  # between two looks at what cannot be waited for
_GRACE = 30.0  # seconds that followers are given to take the end of the log


class Follower:
    """One connection to the job's socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.offset = -1  # unknown until its first request
        self.outgoing = bytearray()
        self.decoder = protocol.Decoder()


class Supervisor:
    """One job's event loop."""

    def __init__(self, job: Job, spec: Dict[str, Any], environ: Dict[str, str]) -> None:
        self._job, self._spec, self._environ = job, spec, environ
        self._poll = select.poll()
        self._handlers: Dict[int, Callable[[int], None]] = {}
        self._followers: Dict[int, Follower] = {}
        self._sources: Dict[int, int] = {}
        self._stdin: Optional[int] = None
        self._stdin_data = bytearray()
        self._stdin_received = 0
        self._stdin_ends = False
        self._stdin_owner: Optional[Follower] = None
        self._terminal: Optional[int] = None
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._ended_at: Optional[float] = None
        self._alone_since: Optional[float] = time.monotonic()
        self._finished = False
        self._unseen_since: Optional[float] = None  # since when nobody had the terminal open; it is not watched then
        self._log = Log(job)

    def run(self, ready: int) -> None:
        """Supervise until the job has ended and its followers know."""
        listener = self._listen()
        self._write_json("supervisor.json", dict(Process.of(os.getpid()).to_json()))
        wake, wake_write = os.pipe()
        for descriptor in (wake, wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._watch(wake, select.POLLIN, lambda _: self._child_changed(wake))
        self._watch(listener.fileno(), select.POLLIN, lambda _: self._accept(listener))
        self._spawn()
        with contextlib.suppress(OSError):  # nobody may wait any more
            os.write(ready, b"ok")
        os.close(ready)
        while not self._over():
            for descriptor, event in self._poll.poll(self._timeout()):
                handler = self._handlers.get(descriptor)
                if handler:
                    handler(event)
            self._look_again()
            self._end_if_quiet()
            self._end_if_alone()
        os.unlink(os.path.join(self._job.folder, "socket"))

    def _listen(self) -> socket.socket:
        """A socket by a relative name: the path of the job's folder may be longer than a socket's name can be."""
        os.chdir(self._job.folder)
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        listener.bind("socket")
        os.umask(mask)
        listener.listen(16)
        listener.setblocking(False)
        return listener

    def _write_json(self, name: str, value: Dict[str, Any]) -> None:
        temporary = os.path.join(self._job.folder, name + "~")
        with open(temporary, "w") as out:
            json.dump(value, out)
        os.replace(temporary, os.path.join(self._job.folder, name))

    def _spawn(self) -> None:
        terminal = self._spec.get("tty")
        close: List[int] = []
        if terminal:
            master, slave = os.openpty()
            self._terminal = master
            self._resize(self._spec)
            streams = (slave, slave, slave)
            close.append(slave)
            self._stdin = master
        else:
            stdin, stdout, stderr = self._pipes(close)
            streams = (stdin, stdout, stderr)
        try:
            self._process = child.start(self._spec, self._environ, streams)
            with contextlib.suppress(OSError):  # the disk is full; it is needed only when we are killed
                self._write_json("command.json", Process.of(self._process.pid).to_json())
        except OSError as error:
            self._cannot_start(error)
        finally:
            for descriptor in close:
                os.close(descriptor)
        if self._terminal is not None:
            os.set_blocking(self._terminal, False)
            self._add_source(self._terminal, protocol.STDOUT)

    def _pipes(self, close: List[int]) -> "tuple[int, int, int]":
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        if self._spec.get("stdin"):
            stdin, self._stdin = os.pipe()
            os.set_blocking(self._stdin, False)
        else:
            stdin = os.open(os.devnull, os.O_RDONLY)
        close += [stdin, out_write, err_write]
        self._add_source(out_read, protocol.STDOUT)
        self._add_source(err_read, protocol.STDERR)
        return stdin, out_write, err_write

    def _cannot_start(self, error: OSError) -> None:
        code = 126 if isinstance(error, PermissionError) or error.errno == errno.ENOEXEC else 127
        text = "dsenv: {}: {}\n".format(error.filename or self._spec["argv"][0], error.strerror)
        self._log.output(protocol.STDERR, text.encode("utf-8", "surrogateescape"))
        self._finish(code, None)

    def _add_source(self, descriptor: int, stream: int) -> None:
        self._sources[descriptor] = stream
        self._watch(descriptor, select.POLLIN, lambda event: self._take(descriptor, event))

    def _take(self, descriptor: int, event: int) -> None:
        if event & select.POLLOUT:
            self._feed()
        if not event & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return
        try:
            data = os.read(descriptor, _BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the last process left the terminal
        if data:
            self._log.output(self._sources[descriptor], data)
            self._send_all()
            return
        self._unwatch(descriptor)
        if descriptor == self._terminal and self._ended_at is None and self._process is not None:
            # The command closed its terminal and has not ended yet: to close it here as well would hang it up.
            self._unseen_since = time.monotonic()
            return
        del self._sources[descriptor]
        if descriptor == self._terminal:
            self._stdin = self._terminal = None
        os.close(descriptor)

    def _look_again(self) -> None:
        """Watch the terminal again, if it was let alone."""
        since = self._unseen_since
        if since is not None and self._terminal is not None and time.monotonic() - since > _LOOK_SECONDS:
            self._unseen_since = None
            self._add_source(self._terminal, protocol.STDOUT)

    def _child_changed(self, wake: int) -> None:
        try:
            os.read(wake, _BLOCK)
        except BlockingIOError:
            return
        if self._process is not None and self._ended_at is None and self._process.poll() is not None:
            self._ended_at = time.monotonic()

    def _end_if_quiet(self) -> None:
        if self._ended_at is None or self._finished or self._process is None:
            return
        if self._sources and time.monotonic() - self._ended_at < _LINGER:
            return
        code = self._process.returncode
        self._finish(code if code >= 0 else None, -code if code < 0 else None)

    def _finish(self, code: Optional[int], number: Optional[int]) -> None:
        self._finished = True
        self._ended_at = self._ended_at or time.monotonic()
        record = exit_record(code, number)
        self._log.close(record)
        with contextlib.suppress(OSError):  # the disk is full; the log's last record says the same
            self._write_json("exit.json", json.loads(record[protocol.RECORD.size :]))
        self._send_all()

    def _over(self) -> bool:
        if not self._finished:
            return False
        late = self._ended_at is not None and time.monotonic() - self._ended_at > _GRACE
        return late or not self._followers

    def _end_if_alone(self) -> None:
        """A session, unlike a run, ends when nobody has followed it for a while: a shell whose terminal is gone."""
        patience = self._spec.get("session")
        if patience and self._alone_since is not None and time.monotonic() - self._alone_since > patience:
            self._signal("HUP")

    def _timeout(self) -> Optional[int]:
        waiting = self._unseen_since is not None or self._ended_at is not None or self._spec.get("session")
        return int(1000 * _LOOK_SECONDS) if waiting else None

    def _feed(self) -> None:
        """Give the command what input it takes, and tell the sender how much that was."""
        before = len(self._stdin_data)
        while self._stdin is not None and self._stdin_data:
            try:
                count = os.write(self._stdin, self._stdin_data[:_BLOCK])
            except BlockingIOError:
                break
            except OSError:
                self._close_stdin()
                break
            del self._stdin_data[:count]
        if self._stdin_owner is not None and before != len(self._stdin_data):
            self._queue(self._stdin_owner, self._taken())
        if self._stdin is None:
            return
        if not self._stdin_data and self._stdin_ends:
            self._end_stdin()
        elif self._stdin == self._terminal:
            self._poll.modify(self._stdin, select.POLLIN | (select.POLLOUT if self._stdin_data else 0))
        elif self._stdin_data:
            self._watch(self._stdin, select.POLLOUT, lambda _: self._feed())
        else:
            self._unwatch(self._stdin)

    def _end_stdin(self) -> None:
        if self._stdin == self._terminal and self._terminal is not None:
            self._stdin_ends = False
            self._stdin_data += termios.tcgetattr(self._terminal)[6][termios.VEOF]
            self._feed()
        else:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is not None and self._stdin != self._terminal:
            self._unwatch(self._stdin)
            os.close(self._stdin)
        self._stdin = None
        self._stdin_data.clear()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        follower = Follower(connection)
        self._followers[connection.fileno()] = follower
        self._alone_since = None
        self._watch(connection.fileno(), select.POLLIN, lambda event: self._serve(follower, event))

    def _serve(self, follower: Follower, event: int) -> None:
        if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
            try:
                data = follower.connection.recv(_BLOCK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(follower)
                return
            try:
                for kind, payload in follower.decoder.feed(data):
                    self._command(follower, kind, payload)
            except (protocol.ProtocolError, KeyError, TypeError, ValueError):
                self._drop(follower)
                return
        self._send(follower)

    def _command(self, follower: Follower, kind: bytes, payload: bytes) -> None:
        if kind == protocol.REQUEST:
            follower.offset = int(protocol.decode_json(payload)["offset"])
            self._queue(follower, self._taken())
        elif kind == protocol.STDIN:
            self._stdin_owner = follower
            self._receive_stdin(payload)
        elif kind == protocol.STDIN_END:
            self._stdin_ends = True
            self._feed()
        elif kind == protocol.WINDOW:
            self._resize(protocol.decode_json(payload))
        elif kind == protocol.SIGNAL:
            self._signal(str(protocol.decode_json(payload)["name"]))

    def _receive_stdin(self, payload: bytes) -> None:
        """Add what was not received before: after a cut, the client sends again what may have been lost."""
        (offset,) = protocol.OFFSET.unpack_from(payload)
        data = payload[protocol.OFFSET.size :]
        if offset > self._stdin_received:
            raise protocol.ProtocolError("standard input has a gap")
        new = data[self._stdin_received - offset :]
        self._stdin_received += len(new)
        if self._stdin is None:
            if self._stdin_owner is not None:
                self._queue(self._stdin_owner, self._taken())  # nobody reads it: the sender must not wait
            return
        self._stdin_data += new
        self._feed()

    def _taken(self) -> bytes:
        counts = protocol.TAKEN.pack(self._stdin_received, self._stdin_received - len(self._stdin_data))
        return protocol.encode(protocol.ACK, counts)

    def _signal(self, name: str) -> None:
        number = getattr(signal, "SIG" + name, None)
        if isinstance(number, signal.Signals) and self._process is not None and not self._finished:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(self._process.pid, number)

    def _resize(self, size: Dict[str, Any]) -> None:
        if self._terminal is not None:
            child.resize(self._terminal, size)

    def _queue(self, follower: Follower, frame: bytes) -> None:
        follower.outgoing += frame
        self._send(follower)

    def _send_all(self) -> None:
        for follower in list(self._followers.values()):
            self._send(follower)

    def _send(self, follower: Follower) -> None:
        """Send what the follower lacks, as far as it takes it."""
        descriptor = follower.connection.fileno()
        if descriptor < 0:
            return
        while True:
            if not follower.outgoing and 0 <= follower.offset < self._log.size:
                block = self._log.read(follower.offset)
                follower.offset += len(block)
                follower.outgoing += protocol.encode(protocol.LOG, block)
            if not follower.outgoing:
                break
            try:
                count = follower.connection.send(follower.outgoing)
            except BlockingIOError:
                self._poll.modify(descriptor, select.POLLIN | select.POLLOUT)
                return
            except OSError:
                self._drop(follower)
                return
            del follower.outgoing[:count]
        if self._finished and follower.offset >= 0:
            self._drop(follower)
        else:
            self._poll.modify(descriptor, select.POLLIN)

    def _drop(self, follower: Follower) -> None:
        descriptor = follower.connection.fileno()
        if descriptor < 0:
            return
        self._unwatch(descriptor)
        self._followers.pop(descriptor, None)
        follower.connection.close()
        if self._stdin_owner is follower:
            self._stdin_owner = None
        if not self._followers:
            self._alone_since = time.monotonic()

    def _watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, events)

    def _unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None):
            self._poll.unregister(descriptor)
