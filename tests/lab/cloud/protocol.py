"""What a request asks, and errors in the protocol of the service that was asked."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import threading
import time
import urllib.parse
import uuid
from typing import Any
from xml.sax.saxutils import escape

_CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/]*)/([^/]*)/")
_QUERY = {"iam", "sts", "cloudformation", "sns", "autoscaling", "elasticloadbalancing", "monitoring"}
# What AWS sends these with; anything else is 400.
_STATUS = {
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
    "InternalError": 500,
    "InternalFailure": 500,
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AuthFailure": 401,
}


@dataclasses.dataclass
class Request:
    """One call of the API."""

    number: int
    time: float
    service: str
    region: str
    action: str
    params: dict[str, Any]
    key: str  # the caller's access key id
    agent: str
    fault: str = ""

    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


_counter = iter(range(1, 1 << 62))
_counting = threading.Lock()


def read(environ: dict[str, Any]) -> Request:
    """What `environ` asks; its body can be read again."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    key, region, service = found.groups() if found else ("", "", "")
    service = service.lower()
    action, params = _asked(environ, service)
    with _counting:
        number = next(_counter)
    return Request(number, time.time(), service, region, action, params, key, environ.get("HTTP_USER_AGENT", ""))


def _asked(environ: dict[str, Any], service: str) -> tuple[str, dict[str, Any]]:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    if service == "s3":
        return f"{method} {path}" + (f"?{query}" if query else ""), {}
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target or environ.get("CONTENT_TYPE", "").endswith("json"):
        return target.rpartition(".")[2] or f"{method} {path}", _parsed(body)
    params = dict(urllib.parse.parse_qsl(body.decode(errors="replace") or query, keep_blank_values=True))
    return params.pop("Action", f"{method} {path}"), params


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, start: Any) -> list[bytes]:
        headers = [("Content-Type", self.kind), ("Content-Length", str(len(self.body))), *self.headers]
        start(f"{self.status} lab", headers)
        return [self.body]


def answer(value: Any, status: int = 200, **headers: str) -> Answer:
    more = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Answer(status, "application/x-amz-json-1.1", json.dumps(value, default=str).encode(), more)


def error(service: str, code: str, message: str, status: int | None = None) -> Answer:
    """An error as `service` would send it."""
    status = status or _STATUS.get(code, 400)
    said = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    request = str(uuid.uuid4())
    if service == "ec2":
        body = f"<Response><Errors><Error>{said}</Error></Errors><RequestID>{request}</RequestID></Response>"
    elif service == "s3":
        body = f"<Error>{said}<RequestId>{request}</RequestId></Error>"
    elif service in _QUERY:
        inner = f"<Error><Type>Sender</Type>{said}</Error><RequestId>{request}</RequestId>"
        body = f"<ErrorResponse>{inner}</ErrorResponse>"
    else:
        return answer({"__type": code, "message": message}, status, x_amzn_ErrorType=code)
    return Answer(status, "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode())
