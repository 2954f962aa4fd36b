"""Capture a live environment: what is installed becomes the specification, version for version."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from dsenv.envs import fingerprint
from dsenv.envs.requirements_txt import Source
from dsenv.envs.spec import Spec
from dsenv.errors import LockError

# Installers that every environment has; a lock holds them only when the specification asks for them.
_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv", "distribute"})


@dataclasses.dataclass(frozen=True)
class Captured:
    """A live environment as a specification, and what is worth knowing about it."""

    spec: Spec
    python: str  # full version
    notes: tuple[str, ...]


def capture(asked: Spec, python: str, minor: str) -> Captured:
    """Read the environment of the interpreter `python`. `asked` is the project's own specification, `minor` the Python
    of dsenv.toml. Raises LockError for an environment that a PyPI lock cannot hold, EnvError for a broken one.
    """
    facts = fingerprint.of_python(python)
    version = str(facts["python"]["version"])
    if not version.startswith(".".join(minor.split(".")[:2]) + "."):
        raise LockError(
            f"the active environment has Python {version}, but dsenv.toml asks for {minor}",
            hint=f'set python = "{".".join(version.split(".")[:2])}" in dsenv.toml, or activate another environment',
        )
    if (Path(python).parent.parent / "conda-meta").is_dir():
        raise LockError(
            "the active environment is a conda environment, which this version of dsenv cannot lock yet",
            hint="make a venv with the same PyPI packages, activate it and repeat",
        )
    installed = {canonicalize_name(item["name"]): item for item in facts["distributions"]}
    roots = _roots(asked, installed, _needs(python, version))
    sources, pins = _split(installed)
    spec = dataclasses.replace(
        asked,
        kind="requirements",
        requirements=tuple(text for name, text in sorted(roots.items()) if name not in {s.name for s in sources}),
        constraints=(*asked.constraints, *pins),
        sources=tuple(sources),
        hashes={},
    )
    return Captured(spec, version, tuple(_notes(asked, installed, roots, facts)))


def _needs(python: str, version: str) -> dict[NormalizedName, set[NormalizedName]]:
    """What each installed distribution requires here, optional extras left out."""
    done = subprocess.run(
        [python, "-c", "import json,sys; print(json.dumps([p for p in sys.path if p]))"],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    try:
        path = json.loads(done.stdout)
    except ValueError as error:
        words = done.stderr.decode("utf-8", "replace")
        raise LockError(f"{python} did not say where its packages are", detail=words) from error
    here = cast(dict[str, str], default_environment()) | {
        "python_version": ".".join(version.split(".")[:2]),
        "python_full_version": version,
        "extra": "",
    }
    needs: dict[NormalizedName, set[NormalizedName]] = {}
    for distribution in metadata.distributions(path=path):
        name = distribution.metadata["Name"]
        if name:
            required = _parsed(distribution.requires or [])
            names = {canonicalize_name(r.name) for r in required if r.marker is None or r.marker.evaluate(here)}
            needs.setdefault(canonicalize_name(name), names)
    return needs


def _parsed(texts: Iterable[str]) -> Iterable[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue  # metadata older than the standard: the pins hold what it would have asked for


def _roots(
    asked: Spec,
    installed: Mapping[NormalizedName, Any],
    needs: Mapping[NormalizedName, set[NormalizedName]],
) -> dict[str, str]:
    """Name to requirement: what the specification asks for, and what is installed and needed by nothing installed."""
    roots: dict[str, str] = {str(canonicalize_name(Requirement(text).name)): text for text in asked.requirements}
    needed = {name for owner, names in needs.items() if owner in installed for name in names}
    ours = {name: item for name, item in installed.items() if name not in _TOOLS}
    roots |= {str(name): str(item["name"]) for name, item in ours.items() if name not in {*needed, *roots}}
    # Packages that need each other in a circle are nobody's leaves.
    reached = _reachable({canonicalize_name(name) for name in roots}, needs)
    while left := sorted(name for name in ours if name not in reached):
        roots[str(left[0])] = str(ours[left[0]]["name"])
        reached |= _reachable({left[0]}, needs)
    return roots


def _reachable(start: set[NormalizedName], needs: Mapping[NormalizedName, set[NormalizedName]]) -> set[NormalizedName]:
    reached: set[NormalizedName] = set()
    edge = set(start)
    while edge:
        reached |= edge
        edge = {name for owner in edge for name in needs.get(owner, ())} - reached
    return reached


def _split(installed: Mapping[NormalizedName, Any]) -> tuple[list[Source], list[str]]:
    """Sources to build for what came from no index, and pins for all the rest."""
    sources, pins = [], []
    for name, item in sorted(installed.items()):
        url = item.get("url", "")
        if not url:
            pins.append(f"{name}=={item['version']}")
        elif item.get("commit"):
            sources.append(Source("git", url.removeprefix("git+"), name=str(name), revision=item["commit"]))
        elif url.startswith("file:"):
            path = Path(unquote(urlsplit(url).path))
            if not path.exists():
                raise LockError(
                    f"{name} {item['version']} was installed from {path}, which is not there any more",
                    hint=f"put it back, or install {name} from an index",
                )
            kind = "directory" if path.is_dir() else "archive"
            sources.append(Source(kind, str(path), name=str(name), editable=bool(item.get("editable"))))
        else:
            sources.append(Source("archive", url, name=str(name)))
    return sources, pins


def _notes(
    asked: Spec, installed: Mapping[NormalizedName, Any], roots: Mapping[str, str], facts: Mapping[str, Any]
) -> Iterable[str]:
    named = {canonicalize_name(Requirement(text).name) for text in asked.requirements}
    named |= {canonicalize_name(source.name) for source in asked.sources if source.name}
    extra = sorted(name for name in roots if canonicalize_name(name) not in named)
    if extra and asked.kind != "uv.lock":
        yield f"not in {asked.file.name}: {', '.join(extra)}; add them there, or the next `dsenv lock` drops them"
    absent = sorted(str(name) for name in named if name not in installed)
    if absent:
        yield f"in {asked.file.name} but not installed here: {', '.join(absent)}; the index decides their versions"
    for line in facts.get("changed", []):
        yield f"dirty: {line}; the lock holds the package as it was published"
