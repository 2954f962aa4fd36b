"""SHA-256 of what is small, without OpenSSL: loading it takes ten times as long as such digests, and 5 MB."""

from __future__ import annotations

from contextlib import suppress

from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    import hashlib
    from typing import Any, Dict

LARGE = 1 << 20  # bytes in all; above it OpenSSL is worth its loading, and other threads go on while it works
_digested: Dict[str, int] = {"bytes": 0}

_small: Any = None
for _name in ("_sha2", "_sha256"):  # since Python 3.12, and before; not every build has its own
    if _small is None:
        with suppress(ImportError, AttributeError):
            _small = __import__(_name).sha256


def sha256(data: bytes = b"", size: int = 0) -> "hashlib._Hash":
    """As `hashlib.sha256`. `size` is how much will come in all, as far as it is known."""
    _digested["bytes"] += max(size, len(data))
    if _small is not None and _digested["bytes"] < LARGE:
        small: "hashlib._Hash" = _small(data)
        return small
    import hashlib

    return hashlib.sha256(data)
