"""The reading side of a store. Writing is the agent's: it must work in production with nothing installed."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from dsenv.agent.store import Writer


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """What lies under a key: bytes, and when it was written (seconds since the epoch)."""

    key: str
    size: int
    written: float


class Store(ABC):
    """Records and blobs under keys with `/`, in a folder or a bucket.

    Keys are made by `dsenv.runs` from validated ids and digests; a store may still refuse one that would leave
    it. All methods raise StoreError when the store refuses and TransportError when it cannot be reached. A key
    that is not there is not an error. Instances are safe to use from several threads; `concurrency` is how many
    reads at once pay off.
    """

    concurrency = 1

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def read(self, key: str, *, limit: int) -> bytes | None:
        """The whole content, None when absent. Raises RecordError when it has more than `limit` bytes."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO | None:
        """The content as a stream that the caller closes, None when absent."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Size in bytes, None when absent."""

    @abstractmethod
    def children(self, prefix: str) -> Iterator[str]:
        """The names directly below `prefix` (which ends with `/` or is empty); those of folders end with `/`."""

    @abstractmethod
    def below(self, prefix: str, folders: Sequence[str]) -> dict[str, set[str]]:
        """The names directly in each of `folders` of `prefix`; a folder that is not there, or empty, is left out.

        A listing is no single moment: what went from one name to another meanwhile, put before it was deleted, is there
        under one of the two at least.
        """

    @abstractmethod
    def everything(self, prefix: str) -> Iterator[Stored]:
        """All keys below `prefix`, however deep, in no order."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove keys. Those that are not there are no error."""

    @abstractmethod
    def delete_old(self, keys: Iterable[str], before: float) -> int:
        """Remove those keys that were written before a time, looked at once more; returns how many they were.

        A writer that makes a key young at this moment keeps it, or notices that it is gone.
        """

    @abstractmethod
    def writer(self) -> Writer:
        """The writing side of the same store. Its methods raise StoreWriteError."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"
