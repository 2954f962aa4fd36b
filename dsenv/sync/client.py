"""The client's end of the agent's protocol: make sure the agent is there, ask it, hear it."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from dsenv import resources
from dsenv.agent import protocol
from dsenv.errors import DsenvError, StateError, TransportError, UsageError
from dsenv.models.machine import Machine
from dsenv.transports.agent import archive_path
from dsenv.transports.base import Channel, Transport

_ABSENT = 96  # what the start script says when this agent was never sent
_START = '[ -s "$1" ] || exit 96; exec "$2" -I -S "$PWD/$1" serve'


class RefusedError(Exception):
    """The agent refused a request; `code` is one of those in `dsenv.agent.serve`. See `as_error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class AgentClient:
    """One conversation with the agent on a workstation. One thread may send while another one reads."""

    def __init__(self, transport: Transport, machine: Machine) -> None:
        """Start the agent, sending it first if this version of it is not there yet. Raises TransportError."""
        self._transport, self._machine = transport, machine
        self._decoder = protocol.Decoder()
        self._frames: Iterator[protocol.Frame] = iter(())
        self._channel = self._start()

    @property
    def machine(self) -> Machine:
        """The workstation, as it was when this began."""
        return self._machine

    def _start(self) -> Channel:
        path = archive_path()
        argv = ["sh", "-c", _START, "sh", path, self._machine.python]
        for attempt in (1, 2):
            channel = self._transport.open_channel(argv)
            self._channel = channel
            # An agent that is not there takes no request: what it says by its exit code matters, not that.
            with contextlib.suppress(TransportError):
                channel.send(protocol.encode_json(protocol.REQUEST, {"op": "hello"}))
                if self.receive_or_end() is not None:
                    return channel
            code = channel.wait()
            if code != _ABSENT or attempt == 2:
                self._gone(code)
            channel.close()
            self._decoder = protocol.Decoder()
            self._transport.put(resources.agent_archive(), path)
        raise AssertionError

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames. Raises TransportError."""
        for frame in frames:
            self._channel.send(frame)

    def request(self, operation: str, **fields: Any) -> None:
        """Send a request without waiting for its answer."""
        self.send([protocol.encode_json(protocol.REQUEST, {"op": operation, **fields})])

    def receive_or_end(self) -> protocol.Frame | None:
        """The next frame, or None when the agent has ended the conversation."""
        while True:
            for frame in self._frames:
                return frame
            data = self._channel.receive()
            if not data:
                return None
            try:
                self._frames = self._decoder.feed(data)
            except protocol.ProtocolError as error:
                raise TransportError(
                    f"the agent on {self._machine.alias} sent what cannot be understood: {error}",
                    hint="does a start-up file on the workstation print something?",
                ) from error

    def receive(self) -> protocol.Frame:
        """The next frame. Raises TransportError when there is none."""
        frame = self.receive_or_end()
        if frame is None:
            self._gone(self._channel.wait())
        return frame

    def answer(self) -> dict[str, Any]:
        """The answer to a request that has no data. Raises RefusedError."""
        return self.answer_with_data()[0]

    def answer_with_data(self) -> tuple[dict[str, Any], bytes]:
        """The answer, and the data that came before it, not unpacked. Raises RefusedError."""
        data = bytearray()
        while True:
            kind, payload = self.receive()
            if kind == protocol.DATA:
                data += payload
            elif kind == protocol.REPLY:
                return protocol.decode_json(payload), bytes(data)
            elif kind == protocol.ERROR:
                raise refusal(payload)

    def answer_with_json(self) -> tuple[dict[str, Any], Any]:
        """The answer, and the value that came as data before it; None without data. Raises RefusedError."""
        fields, data = self.answer_with_data()
        return fields, json.loads(zlib.decompress(data)) if data else None

    def close(self) -> None:
        """End the conversation. A job that was started goes on."""
        self._channel.close()

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _gone(self, code: int) -> NoReturn:
        words = self._channel.errors().decode("utf-8", "replace").strip()
        raise TransportError(
            f"the agent on {self._machine.alias} ended with {code}",
            detail=words[-2000:] or None,
            hint=f"dsenv up {self._machine.identity.name}",
        )


def refusal(payload: bytes) -> RefusedError:
    """The refusal in an ERROR frame."""
    value = protocol.decode_json(payload)
    return RefusedError(str(value.get("code")), str(value.get("message")))


def as_error(refused: RefusedError, machine: Machine) -> DsenvError:
    """A refusal as an error for the user."""
    name = machine.alias
    match refused.code:
        case "no-job":
            return UsageError(f"{refused.message} on {name}", hint="dsenv ps")
        case "busy":
            return StateError(f"{refused.message} ({name})", hint="wait for it, or: dsenv sync --force")
        case "conflict":
            return StateError(f"cannot sync to {name}: {refused.message}", hint="rename it here, or remove it there")
        case "system":
            return StateError(f"{name}: {refused.message}", hint="dsenv status")
        case _:
            return TransportError(f"the agent on {name}: {refused.message}", hint="dsenv up")
