"""Look at what dsenv needs on this machine. Nothing is changed; contacted are the providers that are in use."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from dsenv.agent import fingerprint as facts
from dsenv.agent import interpreters
from dsenv.config import load, paths
from dsenv.config.load import Loaded
from dsenv.envs import install
from dsenv.envs.executable import uv_executable, uv_version
from dsenv.errors import ConfigError, DsenvError, EnvError, ProviderError
from dsenv.events import Cancel, Emit, step

_LOW_DISK = 2 << 30

Status = Literal["ok", "note", "fix"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fix` is the command or edit; `note` is good to know and stops nothing."""

    check: str
    status: Status
    message: str
    fix: str = ""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked at."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing has to be fixed."""
        return all(finding.status != "fix" for finding in self.findings)


def doctor(*, online: bool = False, emit: Emit, cancel: Cancel) -> Diagnosis:
    """Look at this machine and, when there is one, at the project. `online` also asks the package index."""
    findings: list[Finding] = []
    project, problem = _project()
    findings += problem
    checks: list[Callable[[], Iterator[Finding]]] = [_python, _git, _uv, _ssh, _terminals, _disk, _environments]
    checks += [_namespaces, lambda: _store(project)]
    if project:
        checks += [lambda: _wanted_python(project), lambda: _lock(project), lambda: _apt(project)]
    checks.append(lambda: _providers(project))
    if online:
        checks.append(lambda: _index(cancel))
    with step(emit, "doctor", "look at this machine"):
        for check in checks:
            findings += check()
            cancel.check()
    return Diagnosis(tuple(findings))


def _project() -> tuple[Loaded | None, list[Finding]]:
    try:
        project = load.load_if_any()
    except ConfigError as error:
        return None, [Finding("dsenv.toml", "fix", error.message, error.hint or "edit dsenv.toml")]
    if project is None:
        return None, [Finding("dsenv.toml", "note", "no project here or above", "dsenv init")]
    return project, [Finding("dsenv.toml", "ok", str(project.file))]


def _python() -> Iterator[Finding]:
    version = sys.version.split(maxsplit=1)[0]
    yield Finding("python", "ok", f"dsenv runs on Python {version} ({sys.executable})")


def _git() -> Iterator[Finding]:
    if shutil.which("git"):
        yield Finding("git", "ok", _first_line(["git", "--version"]))
    else:
        why = "git is not installed: records lose the commit, and packages from git cannot be locked"
        yield Finding("git", "fix", why, _package("git"))


def _uv() -> Iterator[Finding]:
    try:
        yield Finding("uv", "ok", f"uv {uv_version()} ({uv_executable()})")
    except EnvError as error:
        yield Finding("uv", "fix", error.message, error.hint or "")


def _ssh() -> Iterator[Finding]:
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found:
        yield Finding("ssh server", "ok", found)
    else:
        why = "no sshd: the embedded workstation uses dsenv's own server"
        yield Finding("ssh server", "note", why, _package("openssh-server"))
    if not shutil.which("ssh"):
        yield Finding("ssh client", "note", "no ssh: `dsenv ssh` cannot open a shell", _package("openssh-client"))


def _terminals() -> Iterator[Finding]:
    try:
        first, second = os.openpty()
    except (OSError, AttributeError) as error:
        why = f"no pseudo-terminal can be made ({error}): runs have none"
        yield Finding("terminals", "fix", why, "mount -t devpts devpts /dev/pts")
        return
    os.close(first)
    os.close(second)
    yield Finding("terminals", "ok", "pseudo-terminals can be made")


def _disk() -> Iterator[Finding]:
    for name, folder in (("data", paths.data_dir()), ("temporary files", Path(tempfile.gettempdir()))):
        existing = _existing(folder)
        free = shutil.disk_usage(existing).free
        if free < _LOW_DISK:
            why = f"{free >> 20} MiB left for {name} in {existing}; environments need about 1 GiB each"
            yield Finding("disk", "fix", why, f"free some space: du -xh {existing} | sort -h | tail")
        else:
            yield Finding("disk", "ok", f"{free >> 30} GiB free for {name} ({existing})")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there and can be looked at."""
    return next((place for place in (folder, *folder.parents) if os.access(place, os.F_OK)), Path("/"))


def _environments() -> Iterator[Finding]:
    root = Path(install.root_here())
    existing = _existing(root)
    if not os.access(existing, os.W_OK):
        yield Finding("environments", "fix", f"{root} cannot be written", "set DSENV_ENVS_DIR to a folder of yours")
    elif "DSENV_ENVS_DIR" in os.environ or str(root) == "/opt/dsenv/envs":
        yield Finding("environments", "ok", f"kept in {root}")
    else:
        why = f"kept in {root}; /opt/dsenv/envs is not yours to write, so paths differ from other machines'"
        fix = f"sudo install -d -o {os.environ.get('USER') or '$USER'} /opt/dsenv/envs"
        yield Finding("environments", "note", why, fix)


def _namespaces() -> Iterator[Finding]:
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    try:
        works = subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        works = False
    if works:
        yield Finding("namespaces", "ok", "recorded files can be put at their recorded paths")
    else:
        why = "no user namespaces: reproductions redirect file names instead, which child programs do not see"
        yield Finding("namespaces", "note", why, _namespace_fix())


def _namespace_fix() -> str:
    """Debian and Ubuntu have a switch each; containers and chroots have none."""
    for switch, off in (("unprivileged_userns_clone", "0"), ("apparmor_restrict_unprivileged_userns", "1")):
        file = Path("/proc/sys/kernel") / switch
        if file.is_file() and file.read_text().strip() == off:
            return f"sudo sysctl kernel.{switch}={1 - int(off)}"
    return "run outside the container or chroot"


def _store(project: Loaded | None) -> Iterator[Finding]:
    store = os.environ.get("DSENV_STORE") or (project and project.config.runs.store) or str(paths.default_store())
    if "://" in store:
        yield Finding("store", "note", f"{store} is not asked", f"dsenv runs --store {store}")
        return
    folder = Path(store).expanduser()
    existing = _existing(folder.absolute())
    if os.access(existing, os.W_OK):
        yield Finding("store", "ok", str(folder))
    else:
        yield Finding(
            "store", "fix", f"{folder} cannot be written", f"chown it, or set [runs] store: ls -ld {existing}"
        )


def _wanted_python(project: Loaded) -> Iterator[Finding]:
    wanted = project.config.environment.python
    found = interpreters.find(wanted, os.environ)
    if found:
        yield Finding("project python", "ok", f"Python {found[1]} ({found[0]})")
    else:
        minor = ".".join(wanted.split(".")[:2])
        yield Finding("project python", "fix", f"Python {wanted} is not here", f"uv python install {minor}")


def _lock(project: Loaded) -> Iterator[Finding]:
    from dsenv.workflows import lock

    try:
        answer = lock.check(project)
    except DsenvError as error:
        yield Finding("lock", "fix", error.message, error.hint or "dsenv lock")
        return
    if answer.fresh:
        yield Finding("lock", "ok", f"{answer.lock.name} is fresh")
    else:
        yield Finding("lock", "fix", f"{answer.lock.name} is stale: {'; '.join(answer.reasons)}", "dsenv lock")


def _apt(project: Loaded) -> Iterator[Finding]:
    wanted = project.config.environment.apt
    if not wanted or not Path(facts.DPKG_STATUS).exists():
        return
    installed = facts.installed_packages()
    missing = [name for name in wanted if name not in installed]
    if missing:
        yield Finding("apt", "fix", f"missing: {', '.join(missing)}", f"sudo apt-get install {' '.join(missing)}")
    else:
        yield Finding("apt", "ok", f"{len(wanted)} declared packages are installed")


def _providers(project: Loaded | None) -> Iterator[Finding]:
    """Those that are in use, here or in other projects."""
    from dsenv.providers import registry
    from dsenv.providers.base import CanAdvise
    from dsenv.workflows.target import in_use

    for name in in_use(project):
        try:
            provider = registry.load(name)
            problems = provider.check()
            told = provider.advice() if isinstance(provider, CanAdvise) and not problems else []
        except DsenvError as error:
            yield Finding(f"provider {name}", "fix", error.message, error.hint or "")
            continue
        for problem in problems:
            yield Finding(f"provider {name}", "fix", problem.message, problem.hint)
        if not problems and all(item.status != "fix" for item in told):
            yield Finding(f"provider {name}", "ok", "ready")
        for item in told:
            yield Finding(f"provider {name}", item.status, item.message, item.hint)


def policy(name: str) -> str:
    """The permissions that the provider `name` needs, in the words of its account. Raises ProviderError."""
    from dsenv.providers import registry
    from dsenv.providers.base import CanAdvise

    provider = registry.load(name)
    if not isinstance(provider, CanAdvise):
        raise ProviderError(f"{name} needs no permissions of an account", hint="dsenv doctor")
    return provider.policy()


def _index(cancel: Cancel) -> Iterator[Finding]:
    from dsenv.envs.lock import targets, uv

    platform = targets.this_machine() or "linux-64"
    try:
        uv.solve(uv.Question(("packaging",), "3.11", (platform,), fresh=True), cancel)
    except DsenvError as error:
        yield Finding("index", "fix", error.message, error.hint or "")
    else:
        yield Finding("index", "ok", "the package index answers")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return command[0]
    return next(iter(done.stdout.splitlines()), command[0])


def _package(name: str) -> str:
    return f"sudo apt-get install {name}" if shutil.which("apt-get") else f"install {name}"
