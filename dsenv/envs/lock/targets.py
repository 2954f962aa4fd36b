"""The platforms that a lock serves: their markers, their wheel tags, and the C library that their wheels need."""

from __future__ import annotations

import platform as host
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

# platform of dsenv.toml: sys_platform, platform_machine, os_name, platform_system
_MARKERS = {
    "linux-64": ("linux", "x86_64", "posix", "Linux"),
    "linux-aarch64": ("linux", "aarch64", "posix", "Linux"),
    "osx-64": ("darwin", "x86_64", "posix", "Darwin"),
    "osx-arm64": ("darwin", "arm64", "posix", "Darwin"),
    "win-64": ("win32", "AMD64", "nt", "Windows"),
}
NAMES = tuple(_MARKERS)
_NEWEST_GLIBC = 60
_MACOS = (26, 0)
_ALIASES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


def this_machine() -> str | None:
    """The platform name of this machine; None for one that locks cannot serve."""
    machine = host.machine()
    return next((name for name, facts in _MARKERS.items() if facts[:2] == (sys.platform, machine)), None)


def marker(platform: str) -> str:
    """The marker expression that is true on a platform."""
    system, machine, _, _ = _MARKERS[platform]
    return f"sys_platform == '{system}' and platform_machine == '{machine}'"


def environments(platform: str, python: str) -> list[dict[str, str]]:
    """Marker environments of a platform: for the first and last patch when `python` leaves the patch open."""
    system, machine, os_name, system_name = _MARKERS[platform]
    minor = ".".join(python.split(".")[:2])
    fulls = [python] if python.count(".") == 2 else [f"{minor}.0", f"{minor}.99"]
    return [
        {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": os_name,
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system_name,
            "platform_version": "",
            "python_full_version": full,
            "python_version": minor,
            "sys_platform": system,
        }
        for full in fulls
    ]


@cache
def tags(platform: str, python: str) -> frozenset[Tag]:
    """Every wheel tag that can be installed on some machine of a platform."""
    version = [int(part) for part in python.split(".")[:2]]
    names = list(_wheel_platforms(platform))
    interpreter = f"cp{version[0]}{version[1]}"
    return frozenset([*cpython_tags(version, platforms=names), *compatible_tags(version, interpreter, names)])


def _wheel_platforms(platform: str) -> Iterator[str]:
    system, machine, _, _ = _MARKERS[platform]
    if system == "darwin":
        yield from mac_platforms(_MACOS, machine)
    elif system == "win32":
        yield "win_amd64"
    else:
        for minor in range(_NEWEST_GLIBC, 4, -1):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in _ALIASES:
                yield f"{_ALIASES[minor]}_{machine}"
        yield f"linux_{machine}"


def glibc_of(wheel_tags: Iterable[Tag]) -> tuple[int, int] | None:
    """The oldest glibc on which a wheel with these tags runs; None when it does not matter."""
    found = []
    for tag in wheel_tags:
        exact = re.match(r"manylinux_(\d+)_(\d+)_", tag.platform)
        if exact:
            found.append((int(exact.group(1)), int(exact.group(2))))
        found += [(2, minor) for minor, alias in _ALIASES.items() if tag.platform.startswith(alias + "_")]
    return min(found, default=None)
