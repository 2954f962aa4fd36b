"""Each program of the zoo fails again here after its machine is gone, in both ways of restoring."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dsenv.agent.replay import namespace
from dsenv.events import Cancel, ignore
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.model import Isolation
from tests.zoo.case import Case, prepare
from tests.zoo.cases import CASES
from tests.zoo.test_capture import run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "way"), [pytest.param(case, way, id=f"{case.name}-{way}") for case in CASES for way in case.ways]
)
def test_a_failing_program_fails_again_when_its_machine_is_gone(case: Case, way: Isolation, tmp_path: Path) -> None:
    if way == "namespace" and not namespace.available():
        pytest.skip("this machine refuses mount namespaces")
    if not case.needs():
        pytest.skip("this machine cannot play that one")
    for turn in range(case.repeat):
        comes_back(case, way, tmp_path / str(turn))


def comes_back(case: Case, way: Isolation, folder: Path) -> None:
    """Capture it, take its machine away, reproduce it."""
    production, store = folder / "production", folder / "store"
    root = prepare(case, production)
    assert run(case, root, store).returncode == case.returncode
    case.afterwards(root)
    production.rename(folder / "elsewhere")

    result = workflow.reproduce(
        workflow.open_record("last-failed", str(store)),
        workflow.Options(isolation=way),
        emit=ignore,
        cancel=Cancel(),
    )
    assert result.verdict == case.verdict, (result.observed, result.not_restored)
    if case.verdict == "same-failure":
        assert result.exit == case.exit
        assert result.recorded is not None and result.observed is not None
        if case.type is not None:  # a killed process is looked at from time to time, so its place may not be known
            assert result.observed["frame"] == result.recorded["frame"]
        assert not [item for item in result.not_restored if item.what in {"input", "code", "argv", "stdin"}]
    assert not production.exists()
    shutil.rmtree(folder / "elsewhere")


@pytest.mark.parametrize("way", ["namespace", "redirect"])
def test_what_became_of_the_machine_since_is_not_noticed(way: Isolation, tmp_path: Path) -> None:
    """The folder is still there, but its input was mended: the failure is that of the recorded input."""
    if way == "namespace" and not namespace.available():
        pytest.skip("this machine refuses mount namespaces")
    case = next(case for case in CASES if case.name == "data_drift")
    root, store = prepare(case, tmp_path), tmp_path / "store"
    run(case, root, store)
    case.afterwards(root)
    mended = (root / "batch.csv").read_bytes()
    result = workflow.reproduce(
        workflow.open_record("last", str(store)),
        workflow.Options(isolation=way),
        emit=ignore,
        cancel=Cancel(),
    )
    assert (result.verdict, (root / "batch.csv").read_bytes()) == ("same-failure", mended)
