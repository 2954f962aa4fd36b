"""Libraries whose compiled readers open files themselves: what they are told to read is an input beforehand."""

import os

from .opener import Opener

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .files import Inputs
    from .program import Program

# The functions and classes whose first argument is a file, a folder, or several of them.
READERS = {
    "cv2": ("imread",),
    "h5py._hl.files": ("File",),
    "polars.io.csv.functions": ("read_csv", "scan_csv"),
    "polars.io.parquet.functions": ("read_parquet", "scan_parquet"),
    "pyarrow._csv": ("open_csv", "read_csv"),
    "pyarrow._json": ("open_json", "read_json"),
    "pyarrow.dataset": ("dataset",),
    "pyarrow.feather": ("read_feather", "read_table"),
    "pyarrow.lib": ("memory_map",),
    "pyarrow.orc": ("ORCFile", "read_table"),
    "pyarrow.parquet.core": ("ParquetDataset", "ParquetFile", "read_metadata", "read_schema", "read_table"),
    "tables.file": ("open_file",),
}
_FILES = 1_000  # of a folder that is read as a whole

_walk = os.walk


def watch(module: "Any", program: "Program") -> None:
    """Stand before the readers of `module`."""
    inputs = program.inputs
    if inputs is None:
        return
    how = "pyarrow" if module.__name__.startswith("pyarrow") else "native"

    def before(source: "Any" = None, *_args: "Any", **kwargs: "Any") -> None:
        _read(inputs, source, how, kwargs.get("filesystem"))

    for name in READERS[module.__name__]:
        real = getattr(module, name, None)
        if isinstance(real, type):
            _stand_before_class(real, before)
        elif real is not None:
            setattr(module, name, Opener(real, before))


def _stand_before_class(kind: "Any", before: "Any") -> None:
    real = kind.__init__

    def init(self: "Any", *args: "Any", **kwargs: "Any") -> None:
        try:
            before(*args, **kwargs)
        except (TypeError, ValueError, OSError):
            pass  # the real one says what is wrong
        real(self, *args, **kwargs)

    init.__wrapped__, init.__doc__ = real, real.__doc__  # type: ignore[attr-defined]
    init.__name__, init.__qualname__, init.__module__ = real.__name__, real.__qualname__, real.__module__
    kind.__init__ = init


def _read(inputs: "Inputs", source: "Any", how: str, filesystem: "Any") -> None:
    if isinstance(source, (list, tuple)):
        for item in source[:_FILES]:
            _read(inputs, item, how, filesystem)
        return
    if not isinstance(source, (str, bytes, os.PathLike)):
        return
    path = os.fsdecode(os.fspath(source))
    local = filesystem is None or type(filesystem).__name__ in ("LocalFileSystem", "str")
    if "://" in path or not local:
        address = path if "://" in path else "{}://{}".format(getattr(filesystem, "type_name", "filesystem"), path)
        if not address.startswith(("file://", "memory://")):
            inputs.note(address, how, {"note": "read by compiled code: its content is not kept"})
            return
        path = path.partition("://")[2]
    inputs.native(path, how, _FILES)
