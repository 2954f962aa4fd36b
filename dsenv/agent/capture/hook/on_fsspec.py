"""Files of other places that are read through fsspec: which they were, not what was in them."""

import os

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict

    from .program import Program

# Read through Python's `open` or aiobotocore, kept in memory, or made of other files that are noted themselves.
_NEAR = (
    "s3",
    "file",
    "local",
    "memory",
    "zip",
    "tar",
    "cached",
    "blockcache",
    "filecache",
    "simplecache",
    "dir",
    "data",
)


def watch(spec: "Any", program: "Program") -> None:
    """Follow `AbstractFileSystem.open`, through which all file systems open."""
    real = spec.AbstractFileSystem.open

    def open_(self: "Any", path: "Any", mode: str = "rb", *args: "Any", **kwargs: "Any") -> "Any":
        file = real(self, path, mode, *args, **kwargs)
        if mode == "rb":  # text is read through the same method, as bytes
            _note(program, self, path, file)
        return file

    open_.__wrapped__, open_.__doc__ = real, real.__doc__  # type: ignore[attr-defined]
    open_.__name__, open_.__qualname__, open_.__module__ = real.__name__, real.__qualname__, real.__module__
    spec.AbstractFileSystem.open = open_


def _note(program: "Program", system: "Any", path: "Any", file: "Any") -> None:
    """Note a file. Never raises."""
    inputs = program.inputs
    try:
        protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
        if inputs is None or protocol in _NEAR:
            return
        facts: "Dict[str, Any]" = {"note": "read through fsspec: its content is not kept"}
        details = getattr(file, "details", None) or {}
        if isinstance(getattr(file, "size", None), int):
            facts["size"] = file.size
        for field, names in (("etag", ("ETag", "etag")), ("version", ("VersionId", "version_id"))):
            found = next((details[name] for name in names if isinstance(details.get(name), str)), None)
            if found:
                facts[field] = found
        address = os.fsdecode(path)
        inputs.note(address if "://" in address else "{}://{}".format(protocol, address), "fsspec", facts)
    except Exception:  # noqa: BLE001 - the program has its file
        return
