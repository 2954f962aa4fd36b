"""Packages and Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dsenv.agent.distributions import canonical
from dsenv.envs.diff.report import Difference, Facts, Level, shorten, text

_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv", "distribute", "pkg-resources"})


def packages(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    """Versions, presence, edited files, and other builds of the same versions."""
    if "distributions" not in a or "distributions" not in b:
        return
    left, right = _by_name(a), _by_name(b)
    optional = {canonical(name) for facts in (a, b) for name in facts.get("lock", {}).get("conditional", [])}
    for name in sorted({*left, *right}):
        x, y = left.get(name), right.get(name)
        if x is not None and y is not None:
            if _identity(x) != _identity(y):
                yield _package(name, x, y, "warn", "another version behaves differently", a, b, names)
        elif name in optional and ("lock" in a or "lock" in b):
            continue  # the lock needs it on some platforms only
        elif name in _TOOLS:
            yield _package(name, x, y, "info", "an installer, which programs rarely import", a, b, names)
        elif (x or y or {}).get("editable"):
            yield _package(name, x, y, "info", "editable: its code is synced, not installed", a, b, names)
        else:
            yield _package(name, x, y, "warn", "an import works on one side only", a, b, names)
    yield from _edited(a, b, names)


def _by_name(facts: Facts) -> dict[str, Mapping[str, Any]]:
    return {canonical(item["name"]): item for item in facts["distributions"]}


def _identity(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["version"], item.get("commit", "")


def _package(
    name: str,
    x: Mapping[str, Any] | None,
    y: Mapping[str, Any] | None,
    level: Level,
    why: str,
    a: Facts,
    b: Facts,
    names: tuple[str, str],
) -> Difference:
    shown = [None if item is None else " ".join(filter(None, _identity(item))) for item in (x, y)]
    return Difference("packages", name, shown[0], shown[1], level, why, _package_fix(name, x, y, a, b, names))


def _package_fix(
    name: str,
    x: Mapping[str, Any] | None,
    y: Mapping[str, Any] | None,
    a: Facts,
    b: Facts,
    names: tuple[str, str],
) -> str:
    """The command that makes the side without a lock follow the one with it; else both follow one lock."""
    if "lock" not in a and "lock" not in b:
        return "lock it (`dsenv lock --from-active`), then `dsenv up` on the other side"
    wanted = y if "lock" in b else x
    side = names[0] if "lock" in b else names[1]
    if side != "local":
        return f"dsenv up {side}" if ":" not in side else "dsenv lock, then run it again"
    return f"pip uninstall {name}" if wanted is None else f"pip install {name}=={wanted['version']}"


def _edited(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    changed = [facts.get("changed") or [] for facts in (a, b)]
    for side, files in enumerate(changed):
        if files and files != changed[1 - side]:
            shown: list[str | None] = [None, None]
            shown[side] = shorten(files)
            why = "installed files were edited by hand: no lock holds that"
            yield Difference(
                "packages", "edited files", shown[0], shown[1], "warn", why, "install these packages again"
            )
    if a.get("content") and b.get("content") and a["content"] != b["content"] and not any(changed):
        versions = [{name: _identity(item) for name, item in _by_name(facts).items()} for facts in (a, b)]
        if versions[0] == versions[1]:
            why = "the same versions from other builds (platform tag, index or local build)"
            fix = f"rebuild both from one lock: dsenv up {names[1]}" if ":" not in names[1] else "dsenv lock"
            yield Difference("packages", "content", a["content"][:12], b["content"][:12], "warn", why, fix)


def python(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    """The interpreter and the libraries in it."""
    x, y = a.get("python", {}), b.get("python", {})
    v, w = str(x.get("version", "")), str(y.get("version", ""))
    if v and w and v != w and not _serves(v, w):
        minor = v.split(".")[:2] != w.split(".")[:2]
        why = "another minor version: other syntax, library and wheels" if minor else "another patch of the same minor"
        fix = f'install the same Python on both sides, or set python = "{w}" in dsenv.toml and `dsenv lock`'
        yield Difference("python", "version", v, w, "block" if minor else "warn", why, fix)
    reasons = {
        "implementation": "another interpreter",
        "soabi": "compiled modules are built for another interface",
        "build": "another build of the interpreter",
        "compiler": "another compiler: floating point in C code may round otherwise",
        "openssl": "TLS and hashing come from here",
        "sqlite": "SQL behaves as this version does",
        "zlib": "compressed bytes may differ",
    }
    for name, why in reasons.items():
        p, q = text(x.get(name)), text(y.get(name))
        if p and q and p != q:
            level: Level = "block" if name == "implementation" else "info"
            yield Difference("python", name, p, q, level, why, "use the same Python build on both sides")


def _serves(v: str, w: str) -> bool:
    """A lock says 3.11 and takes every patch of it."""
    short, long = sorted((v, w), key=len)
    return short.count(".") == 1 and long.startswith(short + ".")
