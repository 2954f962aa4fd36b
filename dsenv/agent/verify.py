"""Checks installed files against the digests of their RECORD, and sums the content up as one digest."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterator, List, NamedTuple, Tuple

# Written by the installer, differing between tools and paths; they say nothing about what is imported.
_INSTALLER_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD.jws"})
_CHUNK = 1 << 20


class Checked(NamedTuple):
    """What `check` found in one site-packages folder."""

    changed: List[str]  # "PATH: what is wrong" for files of packages, sorted
    unlisted: List[str]  # files that belong to no package, sorted
    content: str  # SHA-256 over path and digest of each package file, the same for the same packages anywhere
    files: int
    size: int  # bytes

    @property
    def problems(self) -> List[str]:
        """Everything that a fresh installation cannot have."""
        return self.changed + [path + ": is in no package's RECORD" for path in self.unlisted]


def check(site: str) -> Checked:
    """Hash every file that a RECORD in `site` lists, and look for files that none lists.

    Launcher scripts are hashed as well, but are not part of `content`: they may hold paths. Byte code is left out.
    """
    expected, changed = _expected(site)
    listed = {path for path in expected if not path.startswith("..")}
    digest, size = hashlib.sha256(), 0
    # hashlib releases the GIL on large chunks, and the rest of the time is the disk's.
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 2)) as pool:
        paths = sorted(expected)
        for path, (actual, length, error) in zip(paths, pool.map(lambda p: _hash(os.path.join(site, p)), paths)):
            wanted = expected[path]
            if error:
                changed.append("{}: {}".format(path, error))
            elif wanted and actual != wanted:
                changed.append(path + ": is not what the package's RECORD says")
            size += length
            if path in listed and os.path.basename(path) not in _INSTALLER_FILES:
                digest.update("{}\0{}\n".format(path, actual).encode("utf-8", "surrogateescape"))
    unlisted = sorted(path for path in _present(site) if path not in listed)
    return Checked(sorted(changed), unlisted, digest.hexdigest(), len(expected), size)


def _expected(site: str) -> Tuple[Dict[str, str], List[str]]:
    """Relative path to SHA-256 in hexadecimal; empty for the files that a RECORD may leave without digest."""
    expected: Dict[str, str] = {}
    problems: List[str] = []
    for name in sorted(os.listdir(site)):
        if not name.endswith(".dist-info"):
            continue
        try:
            with open(os.path.join(site, name, "RECORD"), newline="", encoding="utf-8") as stream:
                rows = [row for row in csv.reader(stream) if row]
        except (OSError, ValueError, csv.Error) as error:
            problems.append("{}/RECORD: cannot be read: {}".format(name, error))
            continue
        for row in rows:
            path = os.path.normpath(row[0])
            kind, _, value = (row[1] if len(row) > 1 else "").partition("=")
            if path.endswith(".pyc"):
                continue
            expected[path] = _as_hex(value) if kind == "sha256" else ""
            if kind != "sha256" and os.path.basename(path) not in _INSTALLER_FILES:
                problems.append(path + ": has no SHA-256 in its RECORD")
    return expected, problems


def _as_hex(value: str) -> str:
    """A digest of RECORD in hexadecimal; a word that no file can have for what is none."""
    try:
        digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return "unreadable"
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else "unreadable"


def _present(site: str) -> Iterator[str]:
    for folder, folders, files in os.walk(site):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if not name.endswith(".pyc"):
                yield os.path.relpath(os.path.join(folder, name), site)


def _hash(file: str) -> Tuple[str, int, str]:
    digest, size = hashlib.sha256(), 0
    try:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(_CHUNK), b""):
                digest.update(block)
                size += len(block)
    except OSError as error:
        return "", 0, error.strerror or str(error)
    return digest.hexdigest(), size, ""
