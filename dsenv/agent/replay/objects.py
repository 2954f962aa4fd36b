"""Answers calls of botocore as they were answered in the recorded run: no network, no credentials."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, Callable, Dict, List, Optional


class Served:
    """The recorded answers, by call.

    `recorded` has, for each call, the answers in their order: files with the answer and the content, the content's
    name empty when there was none.
    """

    def __init__(self, recorded: Dict[str, List[List[str]]]) -> None:
        self._recorded = recorded
        self._given: Dict[str, int] = {}
        self.lacking: Callable[[str], None] = _nobody

    def answer(self, client: Any, service: str, operation: str, call: str, responses: str = "botocore.response") -> Any:
        """The next answer to a call; the last one again when there are no more.

        `responses` is the module whose streams the client gives. Raises what botocore raises: the recorded error, or
        that the endpoint cannot be reached.
        """
        known = self._recorded.get(call, []) if service == "s3" else []
        if not known:
            self.lacking("{} {} was not recorded: it failed as if there were no network".format(service, operation))
            raise sys.modules["botocore.exceptions"].EndpointConnectionError(endpoint_url=client.meta.endpoint_url)
        number = self._given.get(call, 0)
        self._given[call] = number + 1
        file, body = known[min(number, len(known) - 1)]
        with open(file, "rb") as stream:
            answer = whole(json.load(stream), body, responses)
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
        if "Error" in answer and status >= 300:
            kind = client.exceptions.from_code(answer["Error"].get("Code"))
            raise kind(answer, operation)
        return answer


# What capture leaves out of tracebacks: production's had no such frame.
Served.answer.__code__ = Served.answer.__code__.replace(co_filename="<dsenv>")


def whole(value: Any, body: str, responses: str) -> Any:
    """An answer as botocore gives it, from what the hook made of it; `body` is the file of its stream."""
    if isinstance(value, list):
        return [whole(item, body, responses) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$time"}:
        return _time(str(value["$time"]))
    if set(value) == {"$bytes"}:
        return bytes.fromhex(value["$bytes"])
    if set(value) == {"$body"}:
        return _stream(body, responses)
    return {name: whole(item, body, responses) for name, item in value.items()}


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    utc: Any = getattr(sys.modules.get("dateutil.tz"), "tzutc", None)
    return found.replace(tzinfo=utc()) if utc is not None and text.endswith("+00:00") else found


def _stream(body: str, responses: str) -> Any:
    if not body:
        return None
    module: Any = sys.modules[responses]
    file = open(body, "rb")  # noqa: SIM115 - the program reads and closes it
    # What the program stopped reading is not there: the length is not checked.
    if not hasattr(module, "AioStreamingBodyBase"):
        return module.StreamingBody(file, None)
    return _awaited(module)(file, None)


def _awaited(module: Any) -> Any:
    """The class of streams for a client that is awaited."""

    class Body(module.AioStreamingBodyBase):  # type: ignore[misc]
        def readable(self) -> bool:
            return not self._raw_stream.closed

        async def read(self, amt: Optional[int] = None) -> bytes:
            data: bytes = self._raw_stream.read(amt if amt is not None else -1)
            self._amount_read += len(data)
            return data

        async def readinto(self, buffer: Any) -> int:
            count: int = self._raw_stream.readinto(buffer)
            return count

        def close(self) -> None:
            self._raw_stream.close()

        async def aclose(self) -> None:
            self._raw_stream.close()

    return Body


def _nobody(text: str) -> None:
    """Hears what was asked for and is not there, until somebody wants to."""
