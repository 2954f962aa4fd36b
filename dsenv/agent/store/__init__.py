"""The writing side of a store: `open_writer` gives one for a folder or an S3 bucket."""

from __future__ import annotations

from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.store.base import Log, StoreWriteError, Writer

if TYPE_CHECKING:
    from typing import Mapping

__all__ = ["Log", "StoreWriteError", "Writer", "open_writer"]


def open_writer(url: str, environ: Mapping[str, str]) -> Writer:
    """The writer for `s3://bucket/prefix`, or for a folder, which is made. Raises StoreWriteError."""
    if url.startswith("s3://"):
        from dsenv.agent.store.s3 import S3Writer, bucket_of

        return S3Writer(bucket_of(url, environ))
    if "://" in url:
        raise StoreWriteError("there is no store of the kind {}".format(url.partition(":")[0]))
    from dsenv.agent.store.folder import FolderWriter

    return FolderWriter(url)
