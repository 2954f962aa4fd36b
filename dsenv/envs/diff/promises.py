"""What a lock asks of the place on the other side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dsenv.envs.diff.report import Difference, Facts


def unmet(a: Facts, b: Facts, names: tuple[str, str]) -> Iterator[Difference]:
    """C library, platform and system packages that the lock needs and the place lacks."""
    for lock, place, is_a in ((a.get("lock"), b, True), (b.get("lock"), a, False)):
        if not lock or "os" not in place:
            continue
        for layer, name, wanted, actual, why, fix in _unmet(lock, place):
            first, second = (wanted, actual) if is_a else (actual, wanted)
            yield Difference(layer, name, first, second, "block", why, fix)


def _unmet(lock: Facts, place: Facts) -> Iterator[tuple[str, str, str, str | None, str, str]]:
    needs, has = _numbers(lock.get("libc", "")), _numbers(place["os"].get("libc", ""))
    if needs and has and has < needs and place["os"].get("libc", "").startswith("glibc"):
        why = "compiled wheels of the lock do not load on an older C library"
        yield (
            "os",
            "libc",
            f">= {lock['libc']}",
            place["os"]["libc"],
            why,
            "use a newer distribution, or pin older wheels",
        )
    platform = _platform_of(place["os"])
    if lock.get("platforms") and platform and platform not in lock["platforms"]:
        why = "the lock holds no wheels for this platform"
        fix = f'add "{platform}" to `platforms` in dsenv.toml, then `dsenv lock`'
        yield "os", "platform", ", ".join(lock["platforms"]), platform, why, fix
    for name in lock.get("apt", []):
        if name in place.get("apt", {}) and not place["apt"][name]:
            why = "a system package that the code needs is missing"
            yield "os", f"apt {name}", "installed", None, why, f"apt-get install {name}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _platform_of(facts: Mapping[str, str]) -> str | None:
    known = {
        ("Linux", "x86_64"): "linux-64",
        ("Linux", "aarch64"): "linux-aarch64",
        ("Darwin", "x86_64"): "osx-64",
        ("Darwin", "arm64"): "osx-arm64",
        ("Windows", "AMD64"): "win-64",
    }
    return known.get((facts.get("system", ""), facts.get("machine", "")))
