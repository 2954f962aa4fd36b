"""What generators draw, and how processes are named, seen in Pythons of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.capture.spool import Spool
from dsenv.workflows.reproduce import randomness
from tests.measuring import unmeasured

PYTHON = sys.executable


def _spool(folder: Path, **settings: str) -> Spool:
    folder.mkdir(exist_ok=True)
    made = Spool.make({"TMPDIR": str(folder)}, None)
    common = {"copies": made.copies, "root": str(folder), "cap": "1000", "total": "1500", "ignored": made.folder}
    made.fill({**common, "seed": "", "replay": "", "agent": str(Path(__file__).parents[4]), **settings})
    return made


def run(spool: Spool, words: list[str], cwd: Path) -> tuple[str, list[dict[str, Any]]]:
    """The output of a command below the hook, and what its processes drew."""
    variables = {"PYTHONPATH": spool.hook, "DSENV_PROCESS": f"{os.getpid()} 0", "PYTHONHASHSEED": "0"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=cwd, env=unmeasured() | variables)
    return done.stdout, [event for event in spool.events() if event["e"] == "draw"]


def twice(body: str, tmp_path: Path, **settings: str) -> tuple[str, str, list[dict[str, Any]]]:
    """What a program prints, what it prints when it is given the same draws again, and the draws."""
    recorded = _spool(tmp_path / "recorded", **settings)
    first, draws = run(recorded, [PYTHON, "-c", body], tmp_path)
    (tmp_path / "random.jsonl").write_text("".join(json.dumps(draw) + "\n" for draw in draws))
    (tmp_path / "replay.json").write_text(json.dumps({"random": str(tmp_path / "random.jsonl")}))
    again = _spool(tmp_path / "again", replay=str(tmp_path / "replay.json"), **settings)
    second, _ = run(again, [PYTHON, "-c", body], tmp_path)
    return first, second, draws


@pytest.mark.parametrize(
    "body",
    [
        "import random; print(random.random()); random.seed(); print(random.random(), random.Random().random())",
        "import random; r = random.Random(); r.seed(None, version=1); print(r.random(), r.gauss(0, 1))",
        "import numpy as n; n.random.seed(); print(n.random.rand(), n.random.default_rng().random())",
        "import numpy as n; print(n.random.SeedSequence().entropy, n.random.Generator(n.random.PCG64()).random())",
    ],
)
def test_generators_give_the_same_numbers_again(body: str, tmp_path: Path) -> None:
    first, second, _ = twice(body, tmp_path)
    assert first == second
    assert run(_spool(tmp_path / "other"), [PYTHON, "-c", body], tmp_path)[0] != first


def test_a_seed_that_was_given_counts(tmp_path: Path) -> None:
    body = "import random; random.seed(5); print(random.random(), random.Random('x').random(), random.getstate()[0])"
    out, draws = run(_spool(tmp_path / "s"), [PYTHON, "-c", body], tmp_path)
    bare = subprocess.run([PYTHON, "-c", body], check=True, capture_output=True, text=True).stdout
    assert out == bare
    assert len(draws) == 1  # the module's own generator, when it was imported


def test_a_seed_is_as_large_as_the_state_and_not_derived(tmp_path: Path) -> None:
    body = "import random; a, b = random.Random(), random.Random(); print(a.random() == b.random())"
    out, draws = run(_spool(tmp_path / "s"), [PYTHON, "-c", body], tmp_path)
    assert out == "False\n"
    assert [len(draw["value"]) for draw in draws] == [624 * 8] * 3
    assert len({draw["value"] for draw in draws}) == 3


def test_the_state_is_what_the_seed_says(tmp_path: Path) -> None:
    """A recorded seed alone, without any hook, makes the same generator."""
    body = "import random; print(random.random())"
    out, (draw,) = run(_spool(tmp_path / "s"), [PYTHON, "-c", body], tmp_path)
    import random

    seed = int.from_bytes(bytes.fromhex(draw["value"]), "little")
    assert out == f"{random.Random(seed).random()}\n"


FORK = """
import os, random
for n in range(3):
    if os.fork() == 0:
        print(n, random.random(), flush=True)
        if os.fork() == 0: print(n, 'below', random.random(), flush=True); os._exit(0)
        os.wait(); os._exit(0)
    os.wait()
"""
WAYS = """
import multiprocessing, random, sys
def draw(queue): queue.put(random.random())
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    for n in range(2):
        queue = context.SimpleQueue(); process = context.Process(target=draw, args=(queue,))
        process.start(); print(queue.get()); process.join()
"""


def test_forked_processes_have_streams_of_their_own_and_the_same_again(tmp_path: Path) -> None:
    first, second, draws = twice(FORK, tmp_path)
    assert first == second
    assert len({line.split()[-1] for line in first.splitlines()}) == 6
    assert {draw["process"] for draw in draws} == {"0", "0.0", "0.1", "0.2", "0.0.0", "0.1.0", "0.2.0"}


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_workers_have_streams_of_their_own_and_the_same_again(way: str, tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text(WAYS)
    command = f"import subprocess, sys; subprocess.run([sys.executable, 'workers.py', '{way}'], check=True)"
    first, second, _ = twice(command, tmp_path)
    assert first == second
    assert len(set(first.split())) == 2


def test_pythons_below_a_shell_are_told_apart_by_their_arguments(tmp_path: Path) -> None:
    draw = "import random, sys; print(sys.argv[1:], random.random())"
    line = " & ".join(f'{PYTHON} -c "{draw}" {word}' for word in ("/here/x", "y", "/there/x", "y")) + "; wait"
    _, draws = run(_spool(tmp_path / "s"), ["sh", "-c", line], tmp_path)
    names = sorted(found["process"] for found in draws)
    assert len(set(names)) == 4
    # Folders do not count: a reproduction may have put them elsewhere. Equal ones are numbered as they come.
    assert [name.startswith("0~") for name in names] == [True] * 4
    assert sum(name.endswith("+1") for name in names) == 2


def test_every_way_to_start_a_program_counts_once(tmp_path: Path) -> None:
    child = f"[{PYTHON!r}, '-c', 'import random']"
    body = (
        f"import os, subprocess\nwords = {child}\nsubprocess.run(words)\nsubprocess.run(words, env=dict(os.environ))\n"
        "os.waitpid(os.posix_spawn(words[0], words, os.environ), 0)\nos.spawnv(os.P_WAIT, words[0], words)\n"
        "os.system(' '.join([words[0], '-c', repr(words[2])]))\nos.execv(words[0], words)"
    )
    _, draws = run(_spool(tmp_path / "s"), [PYTHON, "-c", body], tmp_path)
    # spawnv forks a child, which is number 3 and is replaced by its first one; some shells fork, some do not.
    assert [draw["process"].partition("~")[0] for draw in draws] == ["0.0", "0.1", "0.2", "0.3.0", "0.4", "0.5"]


def test_nobody_sees_the_name_in_the_environment(tmp_path: Path) -> None:
    out, _ = run(_spool(tmp_path / "s"), [PYTHON, "-c", "import os; print('DSENV_PROCESS' in os.environ)"], tmp_path)
    assert out == "False\n"


SECRETS = (
    "import os, random, secrets, uuid\n"
    "print(uuid.uuid4(), secrets.token_hex(8), os.urandom(4), random.SystemRandom().random())"
)


def test_cryptographic_randomness_is_said_and_not_kept(tmp_path: Path) -> None:
    first, second, draws = twice(SECRETS, tmp_path)
    assert first != second
    assert [draw["value"] for draw in draws if draw["source"] == randomness.CRYPTOGRAPHIC] == [""]


def test_cryptographic_randomness_is_kept_when_that_was_asked_for(tmp_path: Path) -> None:
    first, second, _ = twice(SECRETS, tmp_path, entropy="1")
    assert first == second


def test_what_libraries_draw_for_themselves_is_not_said(tmp_path: Path) -> None:
    body = "import multiprocessing.process, tempfile, numpy; tempfile.mkdtemp(dir='.'); numpy.random.default_rng()"
    _, draws = run(_spool(tmp_path / "s"), [PYTHON, "-c", body], tmp_path)
    assert "os.urandom" not in {draw["source"] for draw in draws}


def test_more_than_is_noted_is_still_random(tmp_path: Path) -> None:
    body = "import random; found = {random.Random().random() for _ in range(8000)}; print(len(found))"
    spool = _spool(tmp_path / "s")
    out, draws = run(spool, [PYTHON, "-c", body], tmp_path)
    assert out == "8000\n"
    assert sum(len(draw["value"]) // 2 for draw in draws) <= 16 << 20
    assert len([event for event in spool.events() if event["e"] == "trouble"]) == 1


def test_torch_seeds_itself_with_what_is_noted(tmp_path: Path) -> None:
    """PyTorch is not installed here: a package of its shape, which calls what it calls."""
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("from torch.random import initial_seed, seed\n")
    (package / "random.py").write_text(
        "_seed = 0\ndef manual_seed(n):\n global _seed\n _seed = n\n"
        "def seed():\n import os\n manual_seed(int.from_bytes(os.urandom(8), 'little')); return _seed\n"
        "def initial_seed(): return _seed\n"
    )
    body = (
        "import sys; sys.path.insert(0, '.'); import torch; print(torch.seed() == torch.initial_seed(), torch.seed())"
    )
    first, second, draws = twice(body, tmp_path)
    assert first == second and first.startswith("True")
    assert [draw["source"] for draw in draws if draw["source"] == "torch"] == ["torch"] * 2
