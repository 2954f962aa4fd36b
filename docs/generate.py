"""Writes the reference pages from the code. `python docs/generate.py` writes, `--check` exits 1 when they are stale."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dsenv.cli import diagnostics, main
from dsenv.config import schema

ROOT = Path(__file__).parents[1]
NOTE = "<!-- Made by docs/generate.py; edit the code instead. -->\n"


def cli() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(main.build())
    parts = [NOTE, "# Commands\n"]
    for path, command in _commands(root, ("dsenv",)):
        parts.append(f"## {' '.join(path)}\n")
        parts.append(f"{_help(command)}\n")
        rows = [row for parameter in command.params if (row := _parameter(parameter))]
        if rows:
            parts.append("| argument or option | meaning | default |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            if child.invoke_without_command:
                yield (*path, name), child
            yield from _commands(child, (*path, name))
        elif not child.hidden:
            yield (*path, name), child


def _help(command: Any) -> str:
    text = (command.help or "").strip()
    lines = []
    for line in text.splitlines():
        stripped = line.strip()
        example = stripped.startswith("Example:")
        lines.append(f"    {stripped.removeprefix('Example:').strip()}" if example else stripped)
    return "\n".join(lines)


def _parameter(parameter: Any) -> str:
    if getattr(parameter, "hidden", False) or parameter.name == "help":
        return ""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    elif not parameter.is_flag and parameter.metavar:
        names += f" {parameter.metavar}"
    default = parameter.default
    shown = "" if default in (None, False, True, ()) or callable(default) else f"`{default}`"
    return f"| {names} | {(getattr(parameter, 'help', '') or '').strip()} | {shown} |".replace("\n", " ")


def configuration() -> str:
    """Every table and key of dsenv.toml."""
    parts = [NOTE, "# dsenv.toml\n", "An unknown key is an error that names the nearest known one.\n"]
    for name, field in schema.Config.model_fields.items():
        model, keyed = _model(field.annotation)
        title = f"[{name}.NAME]" if keyed else f"[{name}]"
        parts.append(f"## {title}\n\n{(model.__doc__ or '').strip()}\n")
        parts.append("| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(_keys(model)) + "\n")
    return "\n".join(parts)


def _model(annotation: Any) -> tuple[type[BaseModel], bool]:
    if get_origin(annotation) is dict:
        return get_args(annotation)[1], True
    return annotation, False


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined else f"`{_toml(field.default)}`"
        if field.default is None:
            default = "none"
        yield f"| `{name}` | {_type(field.annotation)} | {default} | {field.description or ''} |"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return "{}" if value == {} else str(value)


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, UnionType):
        return " or ".join(_type(item) for item in get_args(annotation) if item is not type(None))
    if origin is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if origin is dict:
        return f"table of {_type(get_args(annotation)[1])}"
    return {"str": "string", "int": "integer", "bool": "true or false", "float": "number"}.get(
        getattr(annotation, "__name__", ""), "string"
    )


def exit_codes() -> str:
    """The table of exit codes."""
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in diagnostics.EXIT_CODES.items())
    return f"{NOTE}\n# Exit codes\n\n| code | meaning |\n|---|---|\n{rows}\n"


def zoo() -> str:
    """The page of what comes back, with a row for each program of the zoo between its marks."""
    sys.path.insert(0, str(ROOT))
    from tests.zoo import cases

    rows = []
    for kind in _kinds(cases):
        rows.append(f"\n### {kind.__doc__.strip().rstrip('.')}\n")
        rows.append("| program | it ends with | mount namespace | redirected |\n|---|---|---|---|")
        rows += [_row(case) for case in kind.CASES]
    before, _, rest = (ROOT / COMES_BACK).read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n\n{END}{after}"


def _kinds(cases: Any) -> list[Any]:
    return [value for _, value in sorted(vars(cases).items()) if hasattr(value, "CASES") and value is not cases]


def _row(case: Any) -> str:
    if case.signal:
        ending = f"{case.signal}, {case.cause}" if case.cause else case.signal
    else:
        ending = case.type or f"exit code {case.exit}"
    times = "yes" if case.repeat == 1 else f"yes, {case.repeat} times"
    absent = f"no: {case.why}" if case.why else "not tried"
    cells = (times if way in case.ways else absent for way in ("namespace", "redirect"))
    return f"| `{case.name}` | `{ending}` | {' | '.join(cells)} |"


COMES_BACK = "docs/explanation/what-comes-back.md"
BEGIN, END = "<!-- The zoo: made by docs/generate.py -->", "<!-- The end of the zoo -->"
PAGES = {
    "docs/reference/cli.md": cli,
    "docs/reference/configuration.md": configuration,
    "docs/reference/exit-codes.md": exit_codes,
    COMES_BACK: zoo,
}


def write(*, check: bool) -> int:
    """Write or compare all pages; returns the exit code."""
    stale = []
    for name, make in PAGES.items():
        file, text = ROOT / name, make()
        if check and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            file.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `make docs`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(write(check="--check" in sys.argv))
