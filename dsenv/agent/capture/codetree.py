"""Which files are the code, and their snapshot as packs of many files: one object in a bucket instead of thousands."""

from __future__ import annotations

import os
import stat
import zlib

from dsenv.agent import jsontext
from dsenv.agent.capture import git
from dsenv.agent.capture.birth import made_since
from dsenv.agent.capture.treecache import WORTHWHILE, Entry, TreeCache, now_ns
from dsenv.agent.digests import sha256
from dsenv.agent.layout import FORMAT, PACK_HEADER
from dsenv.agent.light import TYPE_CHECKING, NamedTuple
from dsenv.agent.patterns import lazy
from dsenv.agent.store.base import Writer, blob_key

if TYPE_CHECKING:
    from typing import Callable, Dict, Iterator, List, Mapping, Optional, Tuple

    from dsenv.agent.schema import Code, Tree, TreeFile

FILE_CAP = 8 << 20
TOTAL_CAP = 256 << 20
FILES_CAP = 20_000
_PACK_SIZE = 32 << 20
_MAX_PACKS = 24
_SAMPLE, _WORTHWHILE = 4096, 0.8

_FOLDERS = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".bzr",
        ".jj",
        "__pycache__",
        "node_modules",
        ".tox",
        ".nox",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".ipynb_checkpoints",
        ".ssh",
        ".aws",
        ".gnupg",
        ".azure",
        ".gcloud",
        ".kube",
        ".docker",
        ".venv",
        ".eggs",
    ]
)
_SECRET = lazy(
    r"(?i)^(?:\.env(?:\..+)?|\.envrc|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|gpg|asc)"
    r"|id_(?:rsa|dsa|ecdsa|ed25519).*|\.netrc|_netrc|\.pgpass|\.npmrc|\.pypirc|\.htpasswd|\.git-credentials"
    r"|credentials(?:\.\w+)?|client_secret.*\.json|service[-_]?account.*\.json"
    r"|secrets?\.(?:ya?ml|json|toml|ini|env)|application_default_credentials\.json)$"
)
_HARMLESS = lazy(r"(?i)\.(?:example|sample|template|dist)$|\.pub$")
# Of a folder that nothing marks as a project, only what looks like code is taken: it may be somebody's home.
_CODE = (".py", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".json", ".sh", ".sql", ".r", ".ipynb", ".txt", ".csv")
_UNMARKED_CAP, _UNMARKED_FILES, _UNMARKED_DEPTH = 1 << 20, 2000, 4
_FOLDERS_CAP, _FOLDERS_DEPTH = 3000, 6


class Found(NamedTuple):
    """The paths of a tree, relative, sorted, and what was left out."""

    files: List[str]
    links: List[Tuple[str, str]]
    folders: List[str]
    skipped: List[Dict[str, str]]


def is_secret_file(name: str) -> bool:
    """Whether a file's name says that it holds keys or credentials."""
    return bool(_SECRET.match(name)) and not _HARMLESS.search(name)


def find(root: str, *, marked: bool, avoid: Tuple[str, ...], since_ns: Optional[int] = None) -> Found:
    """The files of the project at `root`; none of the absolute paths `avoid`, and nothing below them.

    What git tracks or would track, where there is git; else everything that is code or small data. What was made
    at `since_ns` or later is the command's own work and not what it found. `folders` are those that were there and
    would not come back with any file: a command that writes into one fails without it.
    """
    listed = git.files(root) if marked else None
    names = _below(root, avoid, marked) if listed is None else _kept(root, listed, avoid)
    found = Found([], [], [], [])
    for name in names:
        path = os.path.join(root, name)
        try:
            info = os.lstat(path)
            if stat.S_ISDIR(info.st_mode) or made_since(path, info, since_ns):
                continue
            if stat.S_ISLNK(info.st_mode):
                found.links.append((name, os.readlink(path)))
            elif path in avoid:  # the archive that we are
                found.skipped.append({"path": name, "reason": "ignored"})
            elif stat.S_ISREG(info.st_mode):
                _sort_in(found, name, info.st_size, FILE_CAP if marked else _UNMARKED_CAP)
        except OSError:
            continue  # git still tracks what was deleted, and files go while we look
    found.folders.extend(_bare_folders(root, found, avoid, marked, since_ns))
    return found


def _sort_in(found: Found, name: str, size: int, cap: int) -> None:
    if is_secret_file(os.path.basename(name)):
        found.skipped.append({"path": name, "reason": "secret"})
    elif size > cap or len(found.files) >= FILES_CAP:
        found.skipped.append({"path": name, "reason": "too-large"})
    else:
        found.files.append(name)


def _bare_folders(
    root: str, found: Found, avoid: Tuple[str, ...], marked: bool, since_ns: Optional[int]
) -> Iterator[str]:
    """Folders that no kept file or link lies in, ignored ones too, near the top of the project."""
    filled = set()
    for name in [*found.files, *(link for link, _ in found.links)]:
        folder = os.path.dirname(name)
        while folder and folder not in filled:
            filled.add(folder)
            folder = os.path.dirname(folder)
    waiting, seen = [""], 0
    while waiting and seen < _FOLDERS_CAP:
        inside = waiting.pop(0)
        below = [name for name in _subfolders(root, inside, avoid, since_ns) if marked or not name.startswith(".")]
        seen += len(below)
        if inside.count(os.sep) < _FOLDERS_DEPTH:
            waiting += below
        if inside and inside not in filled and not below:
            yield inside


def _subfolders(root: str, inside: str, avoid: Tuple[str, ...], since_ns: Optional[int]) -> List[str]:
    try:
        with os.scandir(os.path.join(root, inside)) as entries:
            return sorted(
                os.path.join(inside, entry.name)
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and enters(entry.path, entry.name, avoid)
                and not made_since(entry.path, entry.stat(follow_symlinks=False), since_ns)
            )
    except OSError:
        return []


def _kept(root: str, names: List[str], avoid: Tuple[str, ...]) -> Iterator[str]:
    """Of what git lists: no environments that nobody ignored, no store, no submodule folders."""
    verdicts: Dict[str, bool] = {"": True}

    def folder_is_kept(folder: str) -> bool:
        if folder not in verdicts:
            parent, name = os.path.split(folder)
            verdicts[folder] = folder_is_kept(parent) and enters(os.path.join(root, folder), name, avoid)
        return verdicts[folder]

    for name in sorted(set(names)):
        if folder_is_kept(os.path.dirname(name)) and not os.path.isdir(os.path.join(root, name)):
            yield name


def enters(path: str, name: str, avoid: Tuple[str, ...]) -> bool:
    """Whether the folder `name` at `path` may hold code or data of a project."""
    if name in _FOLDERS or path in avoid:
        return False
    return not any(os.path.exists(os.path.join(path, mark)) for mark in ("pyvenv.cfg", "conda-meta"))


def _below(root: str, avoid: Tuple[str, ...], marked: bool) -> Iterator[str]:
    """Every path of a folder that has no git, sorted within its folders."""
    count = 0
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        inside = "" if inside == "." else inside
        depth = inside.count(os.sep) + 1 if inside else 0
        folders[:] = sorted(
            name
            for name in folders
            if enters(os.path.join(folder, name), name, avoid)
            and (marked or (not name.startswith(".") and depth < _UNMARKED_DEPTH))
        )
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*files, *links]):
            if marked or name.lower().endswith(_CODE):
                count += 1
                if not marked and count > _UNMARKED_FILES:
                    return
                yield os.path.join(inside, name)


class _Pack:
    """One pack that is being filled."""

    def __init__(self, level: int) -> None:
        # 31 is the window, with gzip's header, whose time is 0: equal contents are equal packs.
        self._stream = zlib.compressobj(level, zlib.DEFLATED, 31)
        self._parts: List[bytes] = []
        self.size = 0

    def add(self, digest: bytes, data: bytes) -> None:
        self._parts.append(self._stream.compress(PACK_HEADER.pack(digest, len(data)) + data))
        self.size += len(data) + PACK_HEADER.size

    def finish(self) -> bytes:
        return b"".join([*self._parts, self._stream.flush()])


class Packer:
    """Fills packs with file contents and stores each when it is full.

    What does not compress goes to packs of its own, uncompressed: pictures and models are most of the bytes of a
    project, and compressing them is most of the time.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open: Dict[int, _Pack] = {}
        self._filling: Dict[str, int] = {}
        self.places: Dict[str, str] = {}  # the pack of each content, once it is stored
        self.sizes: Dict[str, int] = {}

    def add(self, data: bytes) -> str:
        """Add a content, once. Returns its digest."""
        digest = sha256(data)
        name = digest.hexdigest()
        if name not in self._filling and name not in self.places:
            sample = data[:_SAMPLE]
            level = 1 if len(zlib.compress(sample, 1)) < len(sample) * _WORTHWHILE or len(data) < _SAMPLE else 0
            pack = self._open.setdefault(level, _Pack(level))
            pack.add(digest.digest(), data)
            self._filling[name] = level
            if pack.size >= _PACK_SIZE:
                self._store(level)
        return name

    def close(self) -> None:
        """Store what is not stored yet."""
        for level in sorted(self._open):
            self._store(level)

    def _store(self, level: int) -> None:
        pack = self._open.pop(level)
        name = self._writer.blob(pack.finish())
        self.sizes[name] = pack.size
        stored = [content for content, at in self._filling.items() if at == level]
        for content in stored:
            self.places[content] = name
            del self._filling[content]


class Snapshot:
    """One snapshot in the making: what is known from the last one is not read again."""

    def __init__(self, root: str, writer: Writer, cache: TreeCache, opened: Callable[[str], None]) -> None:
        self._root = root
        self._opened = opened
        self._cache = cache
        self._packer = Packer(writer)
        self._usable = _still_there(cache, writer)
        self._read: Dict[str, os.stat_result] = {}
        self.files: List[TreeFile] = []
        self.skipped: List[Dict[str, str]] = []
        self.total = 0

    def add(self, name: str) -> None:
        """Take one file; one that went away meanwhile is left out."""
        path = os.path.join(self._root, name)
        try:
            info = os.lstat(path)
        except OSError:
            return
        entry = self._cache.get(name, info) if self._usable else None
        if entry is not None and self.total + entry.size <= TOTAL_CAP:
            self._packer.places.setdefault(entry.sha256, entry.pack)
            self._note(name, info, entry.size, stat.S_IMODE(info.st_mode), entry.sha256)
            return
        self._opened(path)
        content = _content(path)
        if content is None:
            return
        data, mode = content
        if _holds_key(data):
            self.skipped.append({"path": name, "reason": "secret"})
        elif self.total + len(data) > TOTAL_CAP:
            self.skipped.append({"path": name, "reason": "too-large"})
        else:
            self._note(name, info, len(data), mode, self._packer.add(data))

    def _note(self, name: str, info: os.stat_result, size: int, mode: int, digest: str) -> None:
        self.total += size
        self._read[name] = info
        self.files.append({"path": name, "mode": mode, "size": size, "sha256": digest})

    def finish(self, started_ns: int) -> List[str]:
        """Store what is new and remember it all; returns the packs that together hold every file."""
        self._packer.close()
        places = self._packer.places
        used = sorted({places[file["sha256"]] for file in self.files})
        known = dict(self._cache.sizes, **self._packer.sizes)
        sizes = {pack: known.get(pack, 0) for pack in used}
        if len(self.files) >= WORTHWHILE and not _scattered(sizes, self.total):
            entries = {file["path"]: self._entry(file, places[file["sha256"]]) for file in self.files}
            self._cache.save(entries, sizes, started_ns)
        elif self._usable:
            self._cache.save({}, {}, started_ns)
        return used

    def _entry(self, file: TreeFile, pack: str) -> Entry:
        info = self._read[file["path"]]
        return Entry(file["size"], info.st_mtime_ns, info.st_ctime_ns, info.st_ino, file["sha256"], pack)


def _still_there(cache: TreeCache, writer: Writer) -> bool:
    packs = cache.packs()
    return bool(packs) and all(writer.claim(blob_key(pack)) for pack in packs)


def _scattered(sizes: Dict[str, int], total: int) -> bool:
    """Whether a tree lies in so many packs, with so much else in them, that the next snapshot should begin anew."""
    return len(sizes) > _MAX_PACKS or sum(sizes.values()) > 3 * total + _PACK_SIZE


def snapshot(
    root: str,
    writer: Writer,
    *,
    marked: bool,
    avoid: Tuple[str, ...],
    environ: Mapping[str, str],
    since_ns: Optional[int] = None,
    opened: Callable[[str], None] = lambda path: None,
) -> Code:
    """Store the code tree, without what was made since `since_ns`. `opened` hears of each file before it is read.

    Raises StoreWriteError.
    """
    started_ns = now_ns()
    found = find(root, marked=marked, avoid=avoid, since_ns=since_ns)
    making = Snapshot(root, writer, TreeCache.load(environ, writer.url, root), opened)
    for name in found.files:
        making.add(name)
    tree: Tree = {
        "format": FORMAT,
        "files": making.files,
        "links": [{"path": path, "target": target} for path, target in found.links],
        "folders": found.folders,
        "packs": making.finish(started_ns),
    }
    return {
        "root": root,
        "tree": writer.blob(jsontext.dumps(tree, sort_keys=True)),
        "files": len(making.files),
        "bytes": making.total,
        "vcs": git.facts(root),
        "skipped": [*found.skipped, *making.skipped][:1000],
    }


def _content(path: str) -> Optional[Tuple[bytes, int]]:
    try:
        with open(path, "rb") as file:
            info = os.fstat(file.fileno())
            return file.read(FILE_CAP + 1)[:FILE_CAP], stat.S_IMODE(info.st_mode)
    except OSError:
        return None


def _holds_key(data: bytes) -> bool:
    return data[:64].lstrip().startswith(b"-----BEGIN") and b"PRIVATE KEY-----" in data[:128]
