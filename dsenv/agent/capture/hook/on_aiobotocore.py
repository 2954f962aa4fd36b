"""The same as on_botocore for its asynchronous twin, through which s3fs, and so pandas, Dask and others, read S3."""

import sys

from .on_botocore import call, note

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Optional

    from .program import Program

_BUFFER = 256 << 10


def watch(client: "Any", program: "Program") -> None:
    """Stand for the one method through which all calls of all clients go."""
    real = client.AioBaseClient._make_api_call
    client_error: "Any" = sys.modules["botocore.exceptions"].ClientError
    served = program.recorded.get("objects")
    if served is not None and program.inputs is not None:
        served.lacking = program.inputs.trouble

    async def _make_api_call(self: "Any", operation_name: str, api_params: "Any") -> "Any":
        service = self._service_model.service_name
        asked = call(operation_name, api_params) if service == "s3" and isinstance(api_params, dict) else ""
        if served is not None:
            return served.answer(self, service, operation_name, asked, "aiobotocore.response")
        if not asked:
            return await real(self, operation_name, api_params)
        try:
            answer = await real(self, operation_name, api_params)
        except client_error as error:
            note(program, asked, api_params, error.response)
            raise
        note(program, asked, api_params, answer, _tee)
        return answer

    _make_api_call.__doc__ = real.__doc__
    client.AioBaseClient._make_api_call = _make_api_call


def _tee(body: "Any", inputs: "Any", copy: str) -> None:
    """Everything that reads a body asks its `read`."""
    real = body.read
    waiting = bytearray()

    async def read(amt: "Optional[int]" = None) -> bytes:
        data: bytes = await real(amt)
        waiting.extend(data)
        if waiting and (len(waiting) >= _BUFFER or amt is None or amt < 0 or not data):
            try:
                inputs.append(copy, bytes(waiting))
            except OSError:
                pass  # what there is no room for is not kept
            waiting.clear()
        return data

    body.read = read
