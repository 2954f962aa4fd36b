"""What a Python can import, read from the metadata folders and not through importlib: a few milliseconds."""

from __future__ import annotations

import os

from dsenv.agent import jsontext
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Optional, Tuple

    from dsenv.agent.schema import Distribution


_HEADER_BYTES, _FIRST_BYTES = 8192, 400  # what is looked for stands in the first lines, mostly
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def scan(sys_path: Iterable[str]) -> List[Distribution]:
    """The distributions on `sys_path`, sorted by name; of two with one name, the one that is imported first."""
    found: Dict[str, Distribution] = {}
    for entry in dict.fromkeys(sys_path):
        for folder in metadata_folders(entry):
            item = describe(folder)
            if item is not None:
                found.setdefault(canonical(item["name"]), item)
    return [found[name] for name in sorted(found)]


def metadata_folders(entry: str) -> List[str]:
    """The `*.dist-info` and `*.egg-info` in one folder of the path; none for what is not a folder."""
    try:
        names = sorted(os.listdir(entry or "."))
    except OSError:
        return []
    return [os.path.join(entry, name) for name in names if name.endswith((".dist-info", ".egg-info"))]


def describe(folder: str) -> Optional[Distribution]:
    """Name, version and origin of one metadata folder; None when it has no name or version."""
    if folder.endswith(".dist-info"):
        metadata = os.path.join(folder, "METADATA")
    elif os.path.isdir(folder):
        metadata = os.path.join(folder, "PKG-INFO")
    else:
        metadata = folder
    text = _read(metadata, _HEADER_BYTES)
    name, version = _name_and_version(text[:_FIRST_BYTES].rpartition("\n")[0])
    if not name or not version:
        name, version = _name_and_version(text)
    if not name or not version:
        return None
    item: Distribution = {"name": name, "version": version}
    installer = _read(os.path.join(folder, "INSTALLER"), 256).strip()
    if installer:
        item["installer"] = installer
    _add_origin(item, _read(os.path.join(folder, "direct_url.json"), 65536))
    return item


def _read(file: str, limit: int) -> str:
    try:
        handle = os.open(file, _FLAGS)  # there are three for each of hundreds: a file object would cost as much again
    except OSError:
        return ""
    try:
        return os.read(handle, limit).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)


def _name_and_version(text: str) -> Tuple[str, str]:
    name = version = ""
    for line in text.splitlines():
        if (name and version) or not line.strip():
            break  # the headers end at the first empty line; a description may have lines like them
        key, _, value = line.partition(":")
        if key == "Name":
            name = value.strip()
        elif key == "Version":
            version = value.strip()
    return name, version


def _add_origin(item: Distribution, text: str) -> None:
    """The facts of direct_url.json (PEP 610): where a distribution that came from no index came from."""
    try:
        origin = jsontext.loads(text.encode()) if text else {}
    except ValueError:
        return
    if not isinstance(origin, dict) or not isinstance(origin.get("url"), str):
        return
    item["url"] = without_credentials(origin["url"])
    vcs = origin.get("vcs_info")
    if isinstance(vcs, dict) and isinstance(vcs.get("commit_id"), str):
        item["commit"] = vcs["commit_id"]
    folder = origin.get("dir_info")
    if isinstance(folder, dict) and folder.get("editable"):
        item["editable"] = True


def without_credentials(url: str) -> str:
    """The URL without user, password, query and fragment: a token may stand in any of them."""
    if url.startswith("file:///") and not any(mark in url for mark in "@?#"):
        return url  # of an editable one, mostly
    from urllib.parse import urlsplit, urlunsplit  # few distributions have one, and it takes long to load

    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def locked(data: bytes) -> Dict[str, Tuple[str, bool]]:
    """The packages of a `pylock.toml` that dsenv wrote: name to version and whether every platform needs it.

    Reads the layout that `dsenv lock` writes, because Python 3.9 has no TOML reader.
    """
    import re

    packages: Dict[str, Tuple[str, bool]] = {}
    for block in data.decode("utf-8", "replace").split("\n[[packages]]\n")[1:]:
        fields = dict(re.findall(r'^(name|version|marker) = "((?:[^"\\]|\\.)*)"$', block, re.MULTILINE))
        if "name" in fields and "version" in fields:
            packages[canonical(fields["name"])] = (fields["version"], "marker" not in fields)
    return packages


def lock_id(data: bytes) -> Optional[str]:
    """The environment id that `dsenv lock` wrote into a `pylock.toml`; None when there is none."""
    import re

    match = re.search(rb'^\[tool\.dsenv\]\n(?:[^\[\n].*\n)*?id = "([0-9a-f]{64})"$', data, re.MULTILINE)
    return match.group(1).decode() if match else None


def satisfied(data: bytes, distributions: Iterable[Distribution]) -> bool:
    """Whether the distributions are what the lock says: all of it there, and nothing there in another version."""
    present = {canonical(item["name"]): item["version"] for item in distributions}
    return all(
        present.get(name, version if not everywhere else None) == version
        for name, (version, everywhere) in locked(data).items()
    )
