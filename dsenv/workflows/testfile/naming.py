"""Names of tests and of the files they are in."""

from __future__ import annotations

import re
from pathlib import Path

from dsenv.agent import schema
from dsenv.errors import UsageError
from dsenv.workflows.reproduce import working_tree


def words(text: str) -> str:
    """`KeyError` is key_error; anything that no name can have is an underscore."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(r"\W+|_+", "_", apart, flags=re.ASCII).strip("_").lower()


def function(project: str, signature: schema.Signature) -> str:
    """test_<project>_<failure>_in_<function>."""
    kind = (signature["type"] or "").rpartition(".")[2] or signature["cause"] or signature["signal"] or "exit"
    if kind == "exit":
        kind = f"exit {signature['exit']}"
    frame = signature["frame"]
    place = (frame["function"].rpartition(".")[2] if frame else "") or ""
    if frame and place.startswith("<"):
        place = Path(frame["file"]).stem
    return "_".join(filter(None, ("test", words(project), words(kind), f"in_{words(place)}" if words(place) else "")))


def test_file(file: Path, name: str) -> Path:
    """The file that was meant, absolute; in a folder, one of the test's name. Raises UsageError."""
    if file.is_dir():
        file = file / f"{name}.py"
    if file.suffix != ".py" or not (file.stem.startswith("test_") or file.stem.endswith("_test")):
        raise UsageError(f"pytest does not find tests in {file.name}", hint=f"name it test_{words(file.stem)}.py")
    return Path(file.absolute())


def project_of(file: Path) -> Path:
    """The project in which a test file lies. Raises UsageError when it lies in none."""
    folder = file.parent
    while not folder.is_dir():
        folder = folder.parent
    found = working_tree.marked(folder)
    if not found:  # a plain folder: where dsenv was started, not the folder of tests in it
        found = working_tree.find(Path.cwd() if file.is_relative_to(Path.cwd()) else folder)
    if not file.is_relative_to(found):
        raise UsageError(f"{file} lies in no project", hint="name a file in the project's folder")
    return found


def data_folder(file: Path) -> Path:
    """Where the data of a test lie: beside it."""
    return file.with_name(f"{file.stem}_data")
