"""Find and read dsenv.toml. Errors name the file, the line, and the nearest key that exists."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from dsenv.config.schema import Config, Workstation
from dsenv.errors import ConfigError

FILE = "dsenv.toml"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A project: its folder and its settings."""

    root: Path
    config: Config

    @property
    def file(self) -> Path:
        return self.root / FILE

    @property
    def lock_file(self) -> Path:
        return self.root / "pylock.toml"

    def workstation(self, name: str) -> Workstation:
        """The settings of a workstation; `default` needs no table. Raises ConfigError for other unknown names."""
        if name in self.config.workstations:
            return self.config.workstations[name]
        if name == "default":
            return Workstation()
        known = ", ".join(sorted({"default", *self.config.workstations}))
        raise ConfigError(
            f"{self.file} has no workstation called {name}",
            hint=f"add a table [workstations.{name}], or use one of: {known}",
        )


def find(start: Path | None = None) -> Path | None:
    """The nearest folder at or above `start` (default: the working folder) that has a dsenv.toml."""
    here = start.resolve() if start else _working_folder()
    if here is None:
        return None
    return next((folder for folder in (here, *here.parents) if _is_file(folder / FILE)), None)


def _working_folder() -> Path | None:
    """None when it was deleted under us."""
    try:
        return Path.cwd().resolve()
    except FileNotFoundError:
        return None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; in a folder that is closed to us there is none."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def load(start: Path | None = None) -> Loaded:
    """The project at or above `start`. Raises ConfigError when there is none or its file is wrong."""
    root = find(start)
    if root is None:
        raise ConfigError(
            f"no {FILE} in {start or _working_folder() or 'a folder that was deleted'} or above it",
            hint="run `dsenv init` in your project's folder",
        )
    return Loaded(root, parse(root / FILE))


def load_if_any(start: Path | None = None) -> Loaded | None:
    """As `load`, but None where there is no project: for the commands that need none."""
    return load(start) if find(start) else None


def parse(file: Path) -> Config:
    """Read and validate one file. Raises ConfigError with `file:line`."""
    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}", hint="see https://toml.io for the syntax") from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise _explain(file, text, error) from None


def _explain(file: Path, text: str, error: ValidationError) -> ConfigError:
    """All problems of the file in one error: the first is the message, the others its detail."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        where = tuple(str(part) for part in problem["loc"] if not _is_union_tag(part))
        name = ".".join(where)
        spot = f"{file}:{line_of(text, where)}"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where[-1], _keys_beside(where), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(_keys_beside(where))}"
            lines.append(f"{spot}: unknown key {name}{hint}")
        elif problem["type"] == "missing":
            lines.append(f"{spot}: {name} is missing")
        elif problem["type"] == "value_error":
            lines.append(f"{spot}: {name}: {problem['msg'].removeprefix('Value error, ')}")
        else:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            lines.append(f"{spot}: {name}: {message}, not {problem['input']!r}")
    unique = list(dict.fromkeys(lines))
    return ConfigError(
        unique[0],
        detail="\n".join(unique[1:]) or None,
        hint=f"edit {file.name}; every key is in the configuration reference",
    )


def _is_union_tag(part: int | str) -> bool:
    """Pydantic puts the tried type (`str`, `int`, ...) behind the path of a value of several types."""
    return isinstance(part, str) and part in {"str", "int", "float", "bool"}


def _keys_beside(where: tuple[str, ...]) -> list[str]:
    """The keys that are allowed where an unknown one stood."""
    model: Any = Config
    for part in where[:-1]:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return []
        model = _model_in(fields[part].annotation)
        if isinstance(model, tuple):
            model = model[0]
            return sorted(model.model_fields) if len(where) > 2 else []
    return sorted(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The model behind an annotation; a 1-tuple of it for a dict of models."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is dict:
        return (get_args(annotation)[1],)
    if get_origin(annotation) in (Union, UnionType):
        return next((_model_in(a) for a in get_args(annotation)), None)
    return None


def line_of(text: str, where: tuple[str, ...]) -> int:
    """The line (from 1) on which a key stands; its table's or the first line when it is written elsewhere."""
    best, table = 1, ()  # type: int, tuple[str, ...]
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?([^\]]+)\]\]?", line)
        if header:
            table = tuple(part.strip().strip("\"'") for part in header.group(1).split("."))
            if table == where[: len(table)]:
                best = number
            if where == table[: len(where)]:
                return number
            continue
        key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if key:
            full = table + tuple(part.strip("\"'") for part in key.group(1).split("."))
            if full == where[: len(full)]:
                return number
    return best
