"""Where records live: `open_store` gives the reading side of a folder or an S3 bucket."""

from __future__ import annotations

import re
from pathlib import Path

from dsenv.config import paths
from dsenv.errors import StoreError, UsageError
from dsenv.runs.store.base import Store

__all__ = ["Store", "open_store"]

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


def open_store(url: str) -> Store:
    """The store that `url` names: `s3://bucket/prefix`, or a folder.

    Raises UsageError for an address that is neither, and StoreError for a folder that is not there; the default
    store may be missing, because no run has been recorded yet.
    """
    if url.startswith("s3://"):
        match = _S3.fullmatch(url)
        if match is None:
            raise UsageError(f"{url} is not the address of a bucket", hint="write s3://bucket/prefix")
        from dsenv.runs.store.s3 import S3Store

        return S3Store(match.group(1), match.group(2) or "")
    if "://" in url:
        raise UsageError(
            f"dsenv has no store of the kind {url.partition(':')[0]}", hint="use a folder or s3://bucket/prefix"
        )
    from dsenv.runs.store.folder import FolderStore

    folder = Path(url).expanduser().absolute()
    if not folder.is_dir() and folder != paths.default_store():
        raise StoreError(
            f"there is no store at {folder}",
            hint="check the path; a store is made by the first `dsenv capture --store` or `dsenv run`",
        )
    return FolderStore(folder)
