"""The machine and what a process inherits on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dsenv.envs.diff.report import Difference, Facts, Level, shorten, text


def _plain(
    layer: str, a: Facts, b: Facts, rules: Mapping[str, tuple[Level, str, str]], section: str | None = None
) -> Iterator[Difference]:
    """Compare the named facts of one section that both sides know."""
    x, y = a.get(section or layer, {}), b.get(section or layer, {})
    if not x or not y:
        return
    for name, (level, why, fix) in rules.items():
        p, q = text(x.get(name)), text(y.get(name))
        if p != q and (p is not None or q is not None):
            yield Difference(layer, name, p, q, level, why, fix)


def _os(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    same = "run on a workstation: dsenv up"
    yield from _plain(
        "os",
        a,
        b,
        {
            "system": ("warn", "other wheels, paths, processes and file names", same),
            "machine": ("warn", "other machine code, so other rounding", "use a workstation of the same architecture"),
            "distribution": ("info", "other system libraries", "declare what you need as `apt` in dsenv.toml"),
            "libc": ("info", "its maths and locale functions differ between versions", "use the same distribution"),
            "kernel": ("info", "rarely matters to a program", "nothing to do"),
        },
    )


def _cpu(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    x, y = a.get("cpu", {}), b.get("cpu", {})
    flags = [set(facts.get("flags", [])) for facts in (x, y)]
    if x.get("flags") and y.get("flags") and flags[0] != flags[1]:
        only = [text(sorted(flags[side] - flags[1 - side])) for side in (0, 1)]
        extra = " ".join(sorted(name.upper() for name in flags[0] ^ flags[1]))
        why = "NumPy and BLAS choose other code paths: last digits of sums and functions differ"
        yield Difference(
            "cpu", "features", only[0], only[1], "warn", why, f'set NPY_DISABLE_CPU_FEATURES="{extra}" under [run] env'
        )
    rules: dict[str, tuple[Level, str, str]] = {
        "model": ("info", "speed, and sometimes last digits", "use the same instance type"),
        "usable": (
            "info",
            "thread pools start as many threads, and sums change order",
            "set OMP_NUM_THREADS under [run] env",
        ),
    }
    yield from _plain("cpu", a, b, rules)
    yield from _numeric(a, b)


def _numeric(a: Facts, b: Facts) -> Iterator[Difference]:
    libraries = [_libraries(facts) for facts in (a, b)]
    if not libraries[0] or not libraries[1]:
        return
    for name, variable, why in (
        ("kernel", "OPENBLAS_CORETYPE", "BLAS computes with another kernel: matrix products differ in the last digits"),
        ("threads", "OPENBLAS_NUM_THREADS", "BLAS splits sums over another number of threads"),
    ):
        p, q = (text(sorted({str(item[name]) for item in found if name in item})) for found in libraries)
        if p and q and p != q:
            yield Difference("cpu", f"blas {name}", p, q, "warn", why, f'set {variable} = "{q}" under [run] env')
    files = [sorted(re.sub(r"-[0-9a-f]{8}", "", item["file"]) for item in found) for found in libraries]
    if files[0] != files[1]:
        why = "numeric libraries come from other builds"
        yield Difference("cpu", "libraries", text(files[0]), text(files[1]), "warn", why, "install both from one lock")


def _libraries(facts: Facts) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = facts.get("numeric", {}).get("libraries", [])
    return found


def _limits(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    size = "a workstation of another size"
    yield from _plain(
        "limits",
        a,
        b,
        {
            "memory_limit": ("warn", "the kernel kills what needs more", "raise the container's memory limit"),
            "cpu_limit": (
                "warn",
                "time-outs, and thread pools larger than the quota",
                "set OMP_NUM_THREADS to the quota",
            ),
            "shm": ("info", "loaders with worker processes need it", "docker run --shm-size"),
            "memory": ("info", "what fits here may not fit there", size),
        },
    )
    x, y = (facts.get("limits", {}).get("ulimit", {}) for facts in (a, b))
    for name in sorted({*x} & {*y}):
        if x[name] != y[name]:
            p, q = (text(["unlimited" if value == -1 else value for value in side[name]]) for side in (x, y))
            level: Level = "warn" if name in {"as", "data", "nofile", "stack", "nproc"} else "info"
            why = "the system refuses more than that (soft, hard)"
            yield Difference(
                "limits", f"ulimit {name}", p, q, level, why, f"ulimit -S -{_ULIMIT_OPTIONS.get(name, 'a')} VALUE"
            )


_ULIMIT_OPTIONS = {
    "as": "v",
    "core": "c",
    "data": "d",
    "fsize": "f",
    "memlock": "l",
    "nofile": "n",
    "nproc": "u",
    "stack": "s",
}


def _threads(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    if "threads" not in a or "threads" not in b:
        return
    for name in sorted({*a["threads"], *b["threads"]}):
        p, q = a["threads"].get(name), b["threads"].get(name)
        if p != q:
            seed = name == "PYTHONHASHSEED"
            why = (
                "the order of sets differs"
                if seed
                else "sets thread counts or kernels, so sums differ in the last digits"
            )
            fix = f'set {name} = "{q if q is not None else p}" under [run] env in dsenv.toml'
            yield Difference("threads", name, p, q, "warn", why, fix)


def _locale(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    fix = "set it under [run] env in dsenv.toml"
    yield from _plain(
        "locale",
        a,
        b,
        {
            "encoding": ("warn", "text files are read and written otherwise", fix),
            "utf8_mode": ("warn", "Python ignores the locale on one side", fix),
            "offset": ("warn", "local times differ (seconds east of UTC)", fix),
            "LC_ALL": ("warn", "sorting, numbers and text encoding", fix),
            "LANG": ("info", "sorting, numbers and text encoding where LC_* does not say", "set LANG under [run] env"),
            "LC_CTYPE": ("warn", "text encoding", fix),
            "LC_NUMERIC": ("warn", "how numbers are read and written by C code", fix),
            "LC_COLLATE": ("warn", "how text is sorted by C code", fix),
            "LC_TIME": ("warn", "names of months and days", fix),
            "timezone": ("info", "names of the zone", "set TZ under [run] env"),
            "TZ": ("info", "changes of daylight saving time", "set TZ under [run] env"),
        },
    )


def _process(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    yield from _plain("process", a, b, {"umask": ("info", "who may read new files", "umask VALUE before the command")})


def _env(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    if "env" not in a or "env" not in b:
        return
    x, y = set(a["env"]), set(b["env"])
    if x != y:
        why = "variables that a program may read (names only: values are never compared)"
        fix = "pass what it needs: dsenv run --env NAME, or [run] env in dsenv.toml"
        shown = [shorten(sorted(only)) or None for only in (x - y, y - x)]
        yield Difference("env", "names", shown[0], shown[1], "info", why, fix)


RULES: tuple[Callable[[Facts, Facts, tuple[str, str]], Iterator[Difference]], ...] = (
    _os,
    _cpu,
    _limits,
    _threads,
    _locale,
    _process,
    _env,
)
