"""A lock for what a run had installed, when its record holds no lock: the recorded versions and nothing else."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from packaging.requirements import InvalidRequirement, Requirement

from dsenv import __version__
from dsenv.agent import interpreters
from dsenv.agent.schema import Distribution
from dsenv.config import paths
from dsenv.envs import lockfile
from dsenv.envs.lock import local, pylock, targets, uv
from dsenv.envs.requirements_txt import Source
from dsenv.errors import InstallError, LockError
from dsenv.events import Cancel, Emit, Notice, step
from dsenv.state import store


def lock_of(distributions: Sequence[Distribution], python: str, *, emit: Emit, cancel: Cancel) -> lockfile.Lock:
    """The lock for this machine. Raises InstallError with all that cannot be had in its `detail`."""
    platform = targets.this_machine()
    if platform is None:
        raise InstallError(
            "dsenv knows no packages for this kind of machine", hint="reproduce on Linux, macOS or Windows"
        )
    wanted = python if interpreters.find(python, os.environ) else ".".join(python.split(".")[:2])
    pins, sources, problems = _sorted_out(distributions, emit)
    if problems:
        raise _cannot_be_had(problems)
    question = uv.Question(requirements=tuple(pins), python=wanted, platforms=(platform,), dependencies=False)
    kept = paths.cache_dir() / "recorded" / f"{_key(question, sources)}.toml"
    if kept.is_file():
        try:
            return lockfile.parse(kept.read_bytes(), str(kept))
        except LockError:
            kept.unlink()  # an interrupted disk, or an older format: made again below
    data = _solve(question, sources, emit, cancel)
    store.write_bytes(paths.private(kept.parent) / kept.name, data)
    return lockfile.parse(data, "the recorded distributions")


def _sorted_out(distributions: Sequence[Distribution], emit: Emit) -> tuple[list[str], list[Source], list[str]]:
    """Pins for the index, sources to build, and what can be neither."""
    pins, sources, problems = [], [], []
    for item in distributions:
        name, url = item["name"], item.get("url", "")
        try:
            Requirement(f"{name}=={item['version']}")
        except InvalidRequirement:
            problems.append(f"{name} {item['version']}: is not a version that an index can serve")
            continue
        if item.get("editable"):
            emit(
                Notice(f"{name} was installed as editable: its code comes from the recorded tree, it is not installed")
            )
        elif url and item.get("commit"):
            sources.append(Source("git", url.removeprefix("git+"), name=name, revision=item["commit"]))
        elif url.startswith(("https://", "http://")):
            sources.append(Source("archive", url, name=name))
        elif url:
            problems.append(f"{name} {item['version']}: was installed from {url}, which no index has")
        else:
            pins.append(f"{name}=={item['version']}")
    return sorted(pins), sources, problems


def _key(question: uv.Question, sources: Sequence[Source]) -> str:
    words = [question.python, *question.platforms, *question.requirements, *(repr(source) for source in sources)]
    return sha256("\n".join([__version__, *words]).encode()).hexdigest()


def _solve(question: uv.Question, sources: Sequence[Source], emit: Emit, cancel: Cancel) -> bytes:
    root = paths.cache_dir() / "recorded"
    with step(emit, "solve", "find the recorded packages") as note:
        try:
            built = local.build_all(sources, root, question.python, question.platforms, emit, cancel)
            answer = uv.solve(_with(question, [item.requirement for item in built]), cancel)
            facts = pylock.Facts(
                question.python, question.platforms, (), question.requirements, "", "", (), (), __version__
            )
            found = {item.filename: local.path_in_lock(item) for item in built}
            document = pylock.assemble(answer, facts, local=found, hashes={})
        except LockError as error:
            raise _cannot_be_had(_culprits(question, cancel) or [error.message, *_lines(error.detail)]) from error
        note.note = f"{len(document['packages'])} packages"
    return pylock.dump(document)


def _with(question: uv.Question, more: Sequence[str]) -> uv.Question:
    return dataclasses.replace(question, requirements=(*question.requirements, *more))


def _culprits(question: uv.Question, cancel: Cancel) -> list[str]:
    """Each pin asked for alone, because a solver names only the first that it cannot find."""

    def problem(pin: str) -> str:
        try:
            answer = uv.solve(dataclasses.replace(question, requirements=(pin,)), cancel)
            facts = pylock.Facts(question.python, question.platforms, (), (), "", "", (), (), __version__)
            pylock.assemble(answer, facts, local={}, hashes={})
        except LockError as error:
            return f"{pin}: {error.message if 'no build' in error.message else 'the index has no wheel of it'}"
        return ""

    with ThreadPoolExecutor(max_workers=8) as pool:
        return [line for line in pool.map(problem, question.requirements) if line]


def _lines(text: str | None) -> list[str]:
    return (text or "").splitlines()


def _cannot_be_had(problems: Sequence[str]) -> InstallError:
    return InstallError(
        f"{len(problems)} of the recorded packages cannot be had here",
        detail="\n".join(problems),
        hint="give the run a lock next time: `dsenv lock` in its project",
    )
