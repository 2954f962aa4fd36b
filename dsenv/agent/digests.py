"""SHA-256 of what is small, without OpenSSL: loading it takes ten times as long as such digests, and 5 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import hashlib

LARGE = 1 << 20  # bytes; above it OpenSSL is worth its loading, and other threads go on while it works
_BUILT_IN = ("_sha2", "_sha256")  # since Python 3.12, and before


def sha256(data: bytes = b"", size: int = 0) -> "hashlib._Hash":
    """As `hashlib.sha256`. `size` is how much will come in all, as far as it is known."""
    if max(size, len(data)) < LARGE:
        for name in _BUILT_IN:
            try:
                small: "hashlib._Hash" = __import__(name).sha256(data)
            except (ImportError, AttributeError):  # not every build has its own
                continue
            return small
    import hashlib

    return hashlib.sha256(data)
