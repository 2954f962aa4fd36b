"""Checks installed files against the digests of their RECORD, and sums the content up as one digest."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

# Written by the installer, differing between tools and paths; they say nothing about what is imported.
_INSTALLER_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD.jws"})
_CHUNK = 1 << 20


class Checked(NamedTuple):
    """What `check` found in one site-packages folder."""

    problems: List[str]  # "PATH: what is wrong", sorted
    content: str  # SHA-256 over path and digest of each package file, the same for the same packages anywhere
    files: int
    size: int  # bytes


def check(site: str) -> Checked:
    """Hash every file that a RECORD in `site` lists, and look for files that none lists.

    Launcher scripts are outside `site` and are left out: they hold paths. Byte code is left out too.
    """
    expected, problems = _expected(site)
    listed = {path for path in expected if not path.startswith("..")}
    problems += [path + ": is in no package's RECORD" for path in _present(site) if path not in listed]
    digest, size = hashlib.sha256(), 0
    # hashlib releases the GIL on large chunks, and the rest of the time is the disk's.
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 2)) as pool:
        paths = sorted(expected)
        for path, (actual, length, error) in zip(paths, pool.map(lambda p: _hash(os.path.join(site, p)), paths)):
            wanted = expected[path]
            if error:
                problems.append("{}: {}".format(path, error))
            elif wanted and actual != wanted:
                problems.append(path + ": is not what the package's RECORD says")
            size += length
            if path in listed and os.path.basename(path) not in _INSTALLER_FILES:
                digest.update("{}\0{}\n".format(path, actual).encode("utf-8", "surrogateescape"))
    return Checked(sorted(problems), digest.hexdigest(), len(expected), size)


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
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except ValueError:
        return "unreadable"


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


def modified(site: str) -> Dict[str, Set[str]]:
    """Installed files that were changed or removed since their installation, by metadata folder.

    Files without a digest in RECORD and files that no RECORD lists do not count.
    """
    changed: Dict[str, Set[str]] = {}
    for name in sorted(os.listdir(site)) if os.path.isdir(site) else []:
        file = os.path.join(site, name, "RECORD")
        if not name.endswith(".dist-info") or not os.path.isfile(file):
            continue
        with open(file, newline="", encoding="utf-8", errors="replace") as stream:
            for row in csv.reader(stream):
                if len(row) < 2 or not row[1].startswith("sha256=") or row[0].endswith(".pyc"):
                    continue
                # Launchers are rewritten when an environment is moved: that is no edit of a package.
                if row[0].startswith(".."):
                    continue
                actual = _hash(os.path.join(site, row[0]))[0]
                if actual != _as_hex(row[1][len("sha256=") :]):
                    changed.setdefault(name, set()).add(row[0])
    return changed
