"""Follow a job to its end: its output here as it comes, input and signals there, across cut connections."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from dsenv.agent import protocol
from dsenv.errors import TransportError, WorkstationNotReadyError
from dsenv.events import Cancel, Emit, Notice
from dsenv.sync.client import AgentClient, refusal
from dsenv.transports.base import Stream

_BLOCK = 32 << 10
_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
_GIVE_UP_SECONDS = 600.0
_LOST = "the run is lost: what watched it on the workstation was killed, so its output ends here and its end is unknown"
_STREAMS: dict[int, Stream] = {protocol.STDOUT: "stdout", protocol.STDERR: "stderr"}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How following ended."""

    status: str  # done | lost | running: the last when it was detached
    exit: int | None
    signal: int | None
    root: str

    @property
    def code(self) -> int:
        """The exit code as a shell would give it."""
        if self.exit is not None:
            return self.exit
        return 128 + self.signal if self.signal is not None else 255


class Console(Protocol):
    """Where a job's output goes and its input comes from. `write` is called from one thread."""

    def write(self, stream: Stream, data: bytes) -> None: ...

    def attach(self, control: Control) -> None:
        """Called once, when there is a job to control. Other threads may use `control` from then on."""


class Control:
    """What a terminal can do to a job. Safe from any thread; never raises for a lost connection."""

    def __init__(self, *, terminal: bool = True) -> None:
        """`terminal`: whether the job may have one."""
        self.terminal = terminal
        self._size: tuple[int, int] | None = None
        self._when_over: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._client: AgentClient | None = None
        self._unsent_from: int | None = None  # offset of the first byte of `_kept`; None until the job has said
        self._kept = bytearray()  # input that the job's supervisor may not have received
        self._taken = 0
        self._ended = False
        self._detached = False
        self._over = False

    @property
    def detached(self) -> bool:
        return self._detached

    @property
    def over(self) -> bool:
        """Whether there is nothing to control any more."""
        return self._over

    def when_over(self, action: Callable[[], None]) -> None:
        """Call `action` once, in the thread that follows, as soon as there is nothing to control any more."""
        self._when_over.append(action)

    def stdin(self, data: bytes) -> bool:
        """Send input; waits while the job does not take it. False when the job needs no more."""
        for start in range(0, len(data), _BLOCK):
            piece = data[start : start + _BLOCK]
            with self._changed:
                while not self._over and not self._has_credit():
                    self._changed.wait()
                if self._over or self._unsent_from is None:
                    return False
                offset = self._unsent_from + len(self._kept)
                self._kept += piece
                self._send(protocol.encode(protocol.STDIN, protocol.OFFSET.pack(offset) + piece))
        return True

    def stdin_end(self) -> None:
        """The input ends here."""
        with self._changed:
            while not self._over and self._unsent_from is None:
                self._changed.wait()
            self._ended = True
            self._send(protocol.encode(protocol.STDIN_END))

    def signal(self, name: str) -> None:
        """Send a signal (INT, TERM, ...) to the job's process group."""
        with self._changed:
            self._send(protocol.encode_json(protocol.SIGNAL, {"name": name}))

    def resize(self, columns: int, rows: int) -> None:
        """Tell the job's terminal its size; without a connection, as soon as there is one."""
        with self._changed:
            self._size = columns, rows
            self._send_size()

    def detach(self) -> None:
        """Stop following; the job goes on."""
        with self._changed:
            self._detached = self._over = True
            client = self._client
            self._changed.notify_all()
        if client:
            client.close()

    def connected(self, client: AgentClient | None) -> None:
        """For `Follow`: the connection that frames go to from now on; None while there is none."""
        with self._changed:
            self._client = client

    def taken(self, payload: bytes) -> None:
        """For `Follow`: an ACK frame came."""
        received, taken = protocol.TAKEN.unpack(payload)
        with self._changed:
            if self._unsent_from is None:
                self._unsent_from = received
            del self._kept[: max(0, received - self._unsent_from)]
            self._unsent_from = max(self._unsent_from, received)
            self._taken = taken
            self._changed.notify_all()

    def resend(self) -> None:
        """For `Follow`: after a new connection's first ACK, send again what was not received."""
        with self._changed:
            self._send_size()
            if self._kept and self._unsent_from is not None:
                data = protocol.OFFSET.pack(self._unsent_from) + bytes(self._kept)
                self._send(protocol.encode(protocol.STDIN, data))
            if self._ended:
                self._send(protocol.encode(protocol.STDIN_END))

    def finished(self) -> None:
        """For `Follow`: the job is over."""
        with self._changed:
            self._over = True
            self._client = None
            self._changed.notify_all()
        while self._when_over:
            self._when_over.pop()()

    def _send_size(self) -> None:
        if self._size is not None:
            columns, rows = self._size
            self._send(protocol.encode_json(protocol.WINDOW, {"columns": columns, "rows": rows}))

    def _has_credit(self) -> bool:
        if self._unsent_from is None:
            return False
        return self._unsent_from + len(self._kept) - self._taken < protocol.STDIN_CREDIT

    def _send(self, frame: bytes) -> None:
        if self._client is None:
            return
        try:
            self._client.send([frame])
        except TransportError:
            self._client = None  # `Follow` notices by itself, connects again and sends what was kept


class Follow:
    """Follows one job, from the first byte or from an offset."""

    def __init__(
        self,
        job: str,
        reconnect: Callable[[], AgentClient],
        console: Console,
        emit: Emit,
        cancel: Cancel,
        *,
        terminal: bool = True,
    ) -> None:
        """`reconnect` makes a new conversation and raises TransportError while that is not possible.

        `terminal`: whether the job may have one, for a console that would then give it every key.
        """
        self._job, self._reconnect, self._console = job, reconnect, console
        self._emit, self._cancel = emit, cancel
        self._control = Control(terminal=terminal)
        self._log = protocol.LogReader()
        self.client: AgentClient | None = None

    def close(self) -> None:
        """Close the conversation that is still open. Safe to repeat."""
        if self.client:
            self.client.close()

    def run(self, client: AgentClient | None = None, offset: int = 0) -> Outcome:
        """Until the job ends or is detached from. `client`: a conversation in which the job was just started.

        Raises TransportError when the workstation cannot be reached for ten minutes, RefusedError for an unknown
        job. Afterwards `client` is the conversation that saw the end: use it, and close it.
        """
        self._log = protocol.LogReader(offset)
        self._console.attach(self._control)
        try:
            while True:
                outcome = self._try(client)
                if outcome:
                    return outcome
                client = None
        finally:
            self._control.finished()

    def _try(self, client: AgentClient | None) -> Outcome | None:
        """Follow over one connection. None when it was cut."""
        if client is None:
            client = self._connect_again()
        if client is None:
            return self._gone()
        self.client = client
        self._control.connected(client)
        try:
            return self._read(client)
        except TransportError:
            client.close()
            if self._control.detached:
                return self._gone()
            self._emit(Notice("the connection was cut; the run goes on; connecting again", "warning"))
            return None
        except BaseException:
            client.close()
            raise
        finally:
            self._control.connected(None)

    def _read(self, client: AgentClient) -> Outcome | None:
        fresh = True
        while True:
            self._cancel.check()
            kind, payload = client.receive()
            if kind == protocol.LOG:
                for stream, data in self._log.feed(payload):
                    if stream in _STREAMS:
                        self._console.write(_STREAMS[stream], data)
            elif kind == protocol.ACK:
                self._control.taken(payload)
                if fresh:
                    self._control.resend()
                    fresh = False
            elif kind == protocol.ERROR:
                raise refusal(payload)
            elif kind == protocol.REPLY:
                outcome = _outcome(protocol.decode_json(payload))
                if outcome.status == "lost":
                    self._emit(Notice(_LOST, "warning"))
                return outcome

    def _connect_again(self) -> AgentClient | None:
        self._log.restart()
        begun, attempt = monotonic(), 0
        while not self._control.detached:
            try:
                client = self._reconnect()
                client.request("attach", job=self._job, offset=self._log.offset)
            except WorkstationNotReadyError as error:
                raise WorkstationNotReadyError(
                    f"{error.message}; the run may go on there", hint=f"{error.hint}, then: dsenv attach {self._job}"
                ) from error
            except TransportError as error:
                if monotonic() - begun > _GIVE_UP_SECONDS:
                    raise TransportError(
                        error.message, detail=error.detail, hint=f"dsenv attach {self._job}"
                    ) from error
                self._cancel.wait(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                self._cancel.check()
                attempt += 1
            else:
                return client
        return None

    def _gone(self) -> Outcome:
        return Outcome("running", None, None, "")


def _outcome(fields: dict[str, Any]) -> Outcome:
    return Outcome(str(fields.get("status")), fields.get("exit"), fields.get("signal"), str(fields.get("root") or ""))
