"""How long a data-science environment takes: dsenv beside plain `uv pip sync` and pip, in one run, from one lock.

    python benchmarks/install.py [PACKAGE...]

Cold means an empty package cache, so the index is asked; warm means a full one. pip has no cache of unpacked
wheels, so its warm run unpacks again. Times are seconds of wall clock; each row runs once, because a second cold
run is not cold.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dsenv.config import load
from dsenv.envs import install, lockfile
from dsenv.envs.executable import uv_executable
from dsenv.events import Cancel, ignore
from dsenv.workflows import lock

PACKAGES = ["numpy", "pandas", "scikit-learn"]
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


def main() -> None:
    """Print the table."""
    packages = sys.argv[1:] or PACKAGES
    with tempfile.TemporaryDirectory(prefix="dsenv-benchmark-") as name:
        root = Path(name)
        os.environ.update(UV_CACHE_DIR=str(root / "uv"), PIP_CACHE_DIR=str(root / "pip"))
        os.environ.update(DSENV_ENVS_DIR=str(root / "envs"), PIP_DISABLE_PIP_VERSION_CHECK="1")
        print(f"{'lock, 3 platforms':34} {timed(lambda: make_lock(root, packages)):6.2f}")
        made = lockfile.read(root / "pylock.toml")
        print(f"{'lock again':34} {timed(lambda: make_lock(root, packages)):6.2f}")
        requirements = root / "hashed.txt"
        requirements.write_text(made.requirements())
        print(f"{len(made.packages)} packages on Python {MINOR}")
        for title, seconds in rows(root, made, requirements):
            print(f"{title:34} {seconds:6.2f}")


def make_lock(root: Path, packages: list[str]) -> None:
    """Lock `packages` for three platforms."""
    (root / "requirements.txt").write_text("\n".join(packages) + "\n")
    (root / "dsenv.toml").write_text(
        f'[project]\nname = "benchmark"\n[environment]\npython = "{MINOR}"\n'
        'platforms = ["linux-64", "linux-aarch64", "osx-arm64"]\n'
    )
    lock.lock(load.load(root), emit=ignore, cancel=Cancel())


def rows(root: Path, made: lockfile.Lock, requirements: Path) -> Iterator[tuple[str, float]]:
    """Each way to install, cold and warm."""

    def ours() -> None:
        install.here(made, emit=ignore, cancel=Cancel())

    def uv() -> None:
        venv = fresh(root / "venv-uv")
        run([uv_executable(), "venv", "-q", "--python", sys.executable, str(venv)])
        run(
            [
                uv_executable(),
                "pip",
                "sync",
                "-q",
                "--require-hashes",
                "--python",
                str(venv / "bin/python"),
                str(requirements),
            ]
        )

    def pip() -> None:
        venv = fresh(root / "venv-pip")
        run([sys.executable, "-m", "venv", str(venv)])
        run([str(venv / "bin/pip"), "install", "-q", "--no-deps", "--require-hashes", "-r", str(requirements)])

    # The solver's metadata is cached by now; wheels are not.
    yield "dsenv, cold (verified)", timed(ours)
    fresh(root / "envs")
    yield "dsenv, warm cache (verified)", timed(ours)
    yield "dsenv, environment present", timed(ours)
    fresh(root / "uv")
    yield "uv pip sync, cold", timed(uv)
    yield "uv pip sync, warm (hard links)", timed(uv)
    with contextlib.suppress(subprocess.CalledProcessError):
        yield "pip install, cold", timed(pip)
        yield "pip install, warm", timed(pip)


def fresh(folder: Path) -> Path:
    """The folder, gone."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def run(command: list[str]) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True)


def timed(work: object) -> float:
    """Seconds that a call takes."""
    assert callable(work)
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
