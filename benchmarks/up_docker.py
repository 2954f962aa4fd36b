"""How long `dsenv up` takes for a container whose image is built, beside `docker run` of the same image.

    python benchmarks/up_docker.py --image debian:bookworm-slim [--runs 5]

The peer is the plain engine: `docker run -d` and `docker exec true`, with no keys, no checks and nobody to log in. What
`up` adds is the workstation: keys, the SSH server, a first verified login, the environment looked at. The first `up`
builds the image and is shown apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_DSENV = [sys.executable, "-m", "dsenv"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--image", required=True, help="what the workstation starts from")
    arguments.add_argument("--runs", type=int, default=5)
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), wanted.image, wanted.runs)


def _measure(folder: Path, image: str, runs: int) -> None:
    root = folder / "project"
    root.mkdir()
    (root / "dsenv.toml").write_text(
        f'[project]\nname = "bench"\n[workstations.default]\nprovider = "docker"\nimage = "{image}"\n'
    )
    environ = os.environ | {"XDG_DATA_HOME": str(folder / "data"), "XDG_STATE_HOME": str(folder / "state")}
    environ |= {"HOME": str(folder)}
    first = _took([*_DSENV, "up"], root, environ)
    made = []
    for _ in range(runs):
        _took([*_DSENV, "down", "--yes"], root, environ)
        made.append(_took([*_DSENV, "up"], root, environ))
    there = [_took([*_DSENV, "up"], root, environ) for _ in range(runs)]
    woken = []
    for _ in range(runs):
        _took([*_DSENV, "stop"], root, environ)
        woken.append(_took([*_DSENV, "up"], root, environ))
    built = _output(["docker", "inspect", "-f", "{{.Config.Image}}", *_containers()])
    _took([*_DSENV, "down", "--yes"], root, environ)
    plain = [_plain(built.split()[0]) for _ in range(runs)]
    print(f"{'first, with the image':28}{first:6.2f} s")
    for name, figures in (
        ("up, image built", made),
        ("up, stopped", woken),
        ("up, running", there),
        ("docker run and exec", plain),
    ):
        print(f"{name:28}{min(figures):6.2f} s best{statistics.median(figures):8.2f} s median of {runs}")


def _containers() -> list[str]:
    return _output(["docker", "ps", "-q", "--filter", "label=dsenv.project=bench"]).split()


def _plain(image: str) -> float:
    begun = time.monotonic()
    name = _output(["docker", "run", "-d", "--entrypoint", "sleep", image, "60"]).strip()
    _output(["docker", "exec", name, "true"])
    took = time.monotonic() - begun
    _output(["docker", "rm", "-f", name])
    return took


def _took(command: list[str], folder: Path, environ: dict[str, str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return time.monotonic() - begun


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
