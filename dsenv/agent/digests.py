"""SHA-256 of what is small, without OpenSSL: loading it takes ten times as long as such digests, and 5 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

if TYPE_CHECKING:
    import hashlib

LARGE = 1 << 20  # bytes in all; above it OpenSSL is worth its loading, and other threads go on while it works
_BUILT_IN = ("_sha2", "_sha256")  # since Python 3.12, and before
_digested: Dict[str, int] = {"bytes": 0}


def sha256(data: bytes = b"", size: int = 0) -> "hashlib._Hash":
    """As `hashlib.sha256`. `size` is how much will come in all, as far as it is known."""
    _digested["bytes"] += max(size, len(data))
    for name in _BUILT_IN if _digested["bytes"] < LARGE else ():
        try:
            small: "hashlib._Hash" = __import__(name).sha256(data)
        except (ImportError, AttributeError):  # not every build has its own
            continue
        return small
    import hashlib

    return hashlib.sha256(data)
