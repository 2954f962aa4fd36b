"""Objects in S3 are inputs: what the service said, and the content as the program reads it.

Other services are left alone: what they answer may be secrets. A reproduction answers from the record, and nothing of
it reaches the network.
"""

import os
import sys

from .events import to_json

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from .program import Program

_HIDDEN = (
    "Body",
    "SSECustomerKey",
    "SSECustomerKeyMD5",
    "CopySourceSSECustomerKey",
    "CopySourceSSECustomerKeyMD5",
    "MFA",
)
_BUFFER = 256 << 10

_open, _close, _write = os.open, os.close, os.write


def watch(client: "Any", program: "Program") -> None:
    """Stand for the one method through which all calls of all clients go."""
    real = client.BaseClient._make_api_call
    served = program.recorded.get("objects")
    if served is not None and program.inputs is not None:
        served.lacking = program.inputs.trouble

    def _make_api_call(self: "Any", operation_name: str, api_params: "Any") -> "Any":
        service = self._service_model.service_name
        # Made beforehand: botocore adds parameters of its own to those that it is given.
        asked = call(operation_name, api_params) if service == "s3" and isinstance(api_params, dict) else ""
        if served is not None:
            return served.answer(self, service, operation_name, asked)
        if not asked:
            return real(self, operation_name, api_params)
        try:
            answer = real(self, operation_name, api_params)
        except client.ClientError as error:
            note(program, asked, api_params, error.response)
            raise
        note(program, asked, api_params, answer)
        return answer

    _make_api_call.__doc__ = real.__doc__
    client.BaseClient._make_api_call = _make_api_call


def call(operation: str, params: "Dict[str, Any]") -> str:
    """What tells one call from another."""
    shown = {name: plain(params[name]) for name in sorted(params) if name not in _HIDDEN}
    return operation + " " + to_json(shown)


def plain(value: "Any") -> "Any":
    """A value of an answer or of parameters as JSON has it; `dsenv.agent.replay.objects` makes it whole again."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": bytes(value).hex()}
    if hasattr(value, "isoformat"):
        return {"$time": value.isoformat()}
    return {"$body": type(value).__name__}


def note(program: "Program", asked: str, params: "Dict[str, Any]", answer: "Dict[str, Any]", tee: "Any" = None) -> None:
    """Note a call. `tee(body, inputs, copy)` makes the content of a stream be copied as it is read. Never raises."""
    inputs = program.inputs
    if inputs is None:
        return
    try:
        name = inputs.new_copy()
        inputs.append(name, to_json(plain(answer)).encode("ascii"))
        bucket, key = params.get("Bucket", ""), params.get("Key", params.get("Prefix", ""))
        facts: "Dict[str, Any]" = {"call": asked, "answer_copy": name}
        for field, source in (("version", "VersionId"), ("etag", "ETag")):
            if isinstance(answer.get(source), str):
                facts[field] = answer[source]
        if "Contents" in answer:
            facts["entries"] = [item.get("Key", "") for item in answer["Contents"]]
        streaming: "Any" = getattr(sys.modules.get("botocore.response"), "StreamingBody", ())
        body = next((item for item in answer.values() if streaming and isinstance(item, streaming)), None)
        if body is not None:
            facts["size"], facts["copy"] = int(answer.get("ContentLength", 0)), inputs.new_copy()
            inputs.append(facts["copy"], b"")
            (tee or _tee)(body, inputs, facts["copy"])
        inputs.note("s3://{}/{}".format(bucket, key), "botocore", facts)
    except Exception:  # noqa: BLE001 - the program has its answer
        inputs.trouble("an answer of S3 could not be noted")


def _tee(body: "Any", inputs: "Any", copy: str) -> None:
    body._raw_stream = _Tee(body._raw_stream, inputs, copy)


class _Tee:
    """A stream whose content is copied as it is read, up to what there is room for."""

    def __init__(self, stream: "Any", inputs: "Any", copy: str) -> None:
        self._stream, self._inputs, self._copy = stream, inputs, copy
        self._waiting = b""

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._stream, name)

    def _keep(self, data: "Any", ended: bool) -> None:
        self._waiting += bytes(data)
        if self._waiting and (ended or len(self._waiting) >= _BUFFER):
            waiting, self._waiting = self._waiting, b""
            try:
                self._inputs.append(self._copy, waiting)
            except OSError:
                self._inputs = _Nothing()

    def read(self, amt: "Optional[int]" = None, *args: "Any", **kwargs: "Any") -> bytes:
        data: bytes = self._stream.read(amt, *args, **kwargs)
        self._keep(data, amt is None or amt < 0 or len(data) < amt)
        return data

    def readinto(self, buffer: "Any") -> int:
        count: int = self._stream.readinto(buffer)
        self._keep(memoryview(buffer).cast("B")[:count], count == 0)
        return count

    def readline(self, *args: "Any") -> bytes:
        data: bytes = self._stream.readline(*args)
        self._keep(data, not data)
        return data

    def readlines(self, *args: "Any") -> "Any":
        return list(self)

    def stream(self, *args: "Any", **kwargs: "Any") -> "Any":
        for data in self._stream.stream(*args, **kwargs):
            self._keep(data, False)
            yield data
        self._keep(b"", True)

    def __iter__(self) -> "Any":
        while True:
            line = self.readline()
            if not line:
                return
            yield line

    def __enter__(self) -> "_Tee":
        return self

    def __exit__(self, *_: "Any") -> None:
        self.close()

    def close(self) -> None:
        self._keep(b"", True)
        self._stream.close()

    def __del__(self) -> None:
        self._keep(b"", True)


class _Nothing:
    """Stands for the folder of copies when nothing can be written there any more."""

    def append(self, name: str, data: bytes) -> None:
        """Keep nothing."""
