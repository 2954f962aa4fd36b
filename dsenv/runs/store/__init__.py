"""Where records live: `open_store` gives the reading side of a folder or an S3 bucket."""

from __future__ import annotations

import re
import stat
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

    try:
        folder = Path(url).expanduser().absolute()
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder == paths.default_store():
            return FolderStore(folder)
        raise StoreError(
            f"there is no store at {folder}",
            hint="check the path; a store is made by the first `dsenv capture --store` or `dsenv run`",
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read {url}: {error.strerror}", hint=f"check its permissions: ls -ld {url}") from error
    except (RuntimeError, ValueError) as error:  # ~nobody-of-that-name, or a NUL
        raise UsageError(f"{url!r} is not a folder: {error}", hint="use a folder or s3://bucket/prefix") from error
    if not stat.S_ISDIR(mode):
        raise StoreError(f"{folder} is a file, not a store", hint="name the folder that holds `runs` and `index`")
    return FolderStore(folder)
