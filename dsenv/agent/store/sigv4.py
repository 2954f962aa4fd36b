"""AWS Signature Version 4 for S3, as the service's documentation describes it."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import quote

EMPTY_HASH = hashlib.sha256(b"").hexdigest()


class Credentials(NamedTuple):
    """Keys, and until when they are good (seconds since the epoch; 0 is for ever)."""

    access_key: str
    secret_key: str
    token: str = ""
    expires: float = 0.0


def encode_path(path: str) -> str:
    """A key as it stands in a URL: S3 encodes once, and leaves the slashes."""
    return quote(path, safe="/-_.~")


def encode_query(pairs: List[Tuple[str, str]]) -> str:
    """Query parameters in the canonical order and encoding, which is also a valid query."""
    return "&".join("{}={}".format(quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in sorted(pairs))


def sign(
    request: Tuple[str, str, str],
    headers: Dict[str, str],
    payload_hash: str,
    credentials: Credentials,
    region: str,
    now: Optional[float] = None,
) -> Dict[str, str]:
    """The headers of a signed request. `request` is method, encoded path and encoded query; `headers` has the host."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = "{}/{}/s3/aws4_request".format(stamp[:8], region)
    signed = dict(headers)
    signed["x-amz-date"] = stamp
    signed["x-amz-content-sha256"] = payload_hash
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = sorted(name.lower() for name in signed)
    values = {name.lower(): " ".join(value.split()) for name, value in signed.items()}
    canonical = "\n".join(
        [*request, "".join("{}:{}\n".format(name, values[name]) for name in names), ";".join(names), payload_hash]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + credentials.secret_key).encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    signed["Authorization"] = "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}".format(
        credentials.access_key, scope, ";".join(names), signature
    )
    return signed
