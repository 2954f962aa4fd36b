"""What every store can be asked to keep."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from dsenv.agent.digests import sha256
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterator, Optional, Tuple

_BLOCK = 1 << 20

# Blobs that no record refers to are kept that long after they were written: a record that refers to them may be on its
# way. Whoever finds a blob that is older than half of it, and refers to it, makes it young again.
UNREFERENCED_SECONDS = 7 * 86400
CLAIM_SECONDS = UNREFERENCED_SECONDS // 2


class StoreWriteError(Exception):
    """The store refused or could not be reached. The message says which store, what, and why."""


class Log(ABC):
    """Bytes that arrive while a run lives, and that are in the store before it ends."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Add bytes. They may be kept back until `flush`. Raises StoreWriteError."""

    @abstractmethod
    def flush(self) -> None:
        """Put what was kept back into the store. Raises StoreWriteError."""

    @abstractmethod
    def close(self) -> None:
        """Flush, and write no more."""


class Writer(ABC):
    """Puts bytes under keys with `/`. Keys come from validated ids and digests.

    A key holds nothing or all of what was put, never a part. Every method may be called from several threads and
    raises StoreWriteError. Files that a store makes are readable by their owner only.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Store bytes, in place of any that are there."""

    @abstractmethod
    def put_file(self, key: str, path: str) -> None:
        """Store a file's content, in constant memory. The file may be taken away by it."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether the key holds something."""

    @abstractmethod
    def claim(self, key: str) -> bool:
        """Whether the key holds something that stays for `CLAIM_SECONDS` at least, with or without this call.

        False for what must be put again: it is not there, or so old that a prune may take it away right now.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""

    @abstractmethod
    def read(self, key: str) -> Optional[bytes]:
        """What the key holds, None for nothing. For index entries and other small things."""

    @abstractmethod
    def names(self, prefix: str) -> Iterator[str]:
        """The names of the keys directly below `prefix`, which ends with `/`, in no order."""

    @abstractmethod
    def log(self, key: str) -> Log:
        """A log that grows. Stores that cannot append keep it as `key.000000`, `key.000001`, ..."""

    def blob(self, data: bytes) -> str:
        """Store bytes by their SHA-256 unless they are there. Returns the digest."""
        digest = sha256(data).hexdigest()
        key = blob_key(digest)
        if not self.claim(key):
            self.put(key, data)
        return digest

    def blob_file(self, path: str, digest: str) -> None:
        """Store the content of `path`, whose SHA-256 is `digest`, unless it is there."""
        key = blob_key(digest)
        if not self.claim(key):
            self.put_file(key, path)


def blob_key(digest: str) -> str:
    """The key of a blob."""
    return "blobs/sha256/{}/{}".format(digest[:2], digest)


def digest_of(path: str) -> Tuple[str, int]:
    """SHA-256 and size of a file. Raises OSError."""
    with open(path, "rb") as source:
        digest, size = sha256(size=os.fstat(source.fileno()).st_size), 0
        for block in iter(lambda: source.read(_BLOCK), b""):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
