"""What the commands about workstations say."""

from __future__ import annotations

from typing import Any

import pytest

from dsenv.cli.commands import audit, down, ls, status
from dsenv.cli.main import main
from dsenv.models.machine import Limits, Resource
from dsenv.workflows.audit import Audit
from dsenv.workflows.awake import Awake
from dsenv.workflows.down import Down
from dsenv.workflows.ls import Listed
from dsenv.workflows.ps import Job
from dsenv.workflows.status import Status


def _listed(**changes: Any) -> Listed:
    facts: dict[str, Any] = {
        "name": "big",
        "project": "churn",
        "root": "/p",
        "provider": "aws",
        "state": "running",
        "alias": "dsenv-churn-big",
        "created": 1,
        "price_per_hour": 0.384,
        "cost_so_far": 1.5,
        "region": "eu-west-1",
        "started": 1,
        "note": "m7i.2xlarge",
        "gone": False,
    }
    return Listed(**(facts | changes))


def test_status_says_what_it_costs_and_what_keeps_it_up() -> None:
    job = Job("20261130T100000-000000-aaaa", "running", None, None, ["python", "train.py"], None, 1, None, "/r", 0)
    awake = Awake(0.0, ["run 20261130T100000-000000-aaaa"], 1800.0, "idle")
    lines = list(status._lines("big", Status(_listed(), "/home/admin", None, [job], awake), _listed()))
    assert lines == [
        "big: running (aws, eu-west-1, m7i.2xlarge)",
        "  ssh          dsenv-churn-big",
        "  home         /home/admin",
        "  environment  none for the present lock; dsenv up",
        "  costs        $0.38 an hour, $1.50 so far",
        "  run          20261130T100000-000000-aaaa  python train.py",
        "  kept up by   run 20261130T100000-000000-aaaa",
        "  stops in     30 min (when idle for so long)",
    ]


def test_status_of_one_that_is_idle() -> None:
    result = Status(_listed(), "/h", "/opt/dsenv/envs/x", [], Awake(700.0, [], 200.0, "life time"))
    assert list(status._awake(result)) == [
        "  idle for     11 min 40 s",
        "  stops in     3 min 20 s (its life time is over then)",
    ]
    assert list(status._awake(Status(_listed(), "/h", None, [], machine_limits=Limits(1800, 0)))) == [
        "  stops        after 30 min without work; it begins to look within a minute"
    ]
    assert list(status._awake(Status(_listed(), "/h", None, []))) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "$0.38/h, $1.50 so far"), ({"price_per_hour": None}, ""), ({"price_per_hour": 0.0}, "free")],
)
def test_prices_in_a_list(changes: dict[str, Any], said: str) -> None:
    assert ls._price(_listed(**changes)) == said


def test_audit_names_what_nothing_needs(capsys: pytest.CaptureFixture[str]) -> None:
    orphan = Resource("aws", "eu-west-1", "disk", "vol-1", "available", "w", "p", "n", 1, 0.0033, "nobody has it")
    kept = Resource("docker", "default", "volume", "data", "", "w", "p", "n", 1, None)
    found = Audit([orphan, kept], unasked={"gcp": "no credentials"})
    audit._show(found)
    said = capsys.readouterr()
    assert "vol-1" in said.out
    assert "$0.0033/h" in said.out
    assert "nobody has it" in said.out
    assert "$0.0033 an hour in all" in said.out
    assert "gcp could not be asked: no credentials" in said.err
    assert "next: dsenv audit --fix" in said.err
    audit._show(Audit([orphan], removed=[orphan], failed={"sg-1": "it is in use"}))
    said = capsys.readouterr()
    assert "removed disk vol-1: nobody has it" in said.out
    assert "sg-1 is still there: it is in use" in said.err


@pytest.mark.parametrize("verb", ["resize", "code"])
def test_they_need_a_project(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 2
    assert "dsenv init" in capsys.readouterr().err


def test_down_says_what_goes_with_it() -> None:
    plan = Down("big", True, "/home/admin", None, None, ["run-1"], "aws, eu-west-1, t3.large")
    assert down._described(plan) == (
        "the workstation big (aws, eu-west-1, t3.large), all files in /home/admin, running: run-1"
    )
