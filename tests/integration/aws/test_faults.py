"""What AWS refuses, and what is said then."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dsenv import events
from dsenv.errors import ConfigError, ProviderError
from dsenv.models.machine import Needs, State
from dsenv.providers.aws.provider import AwsProvider
from tests.integration.aws.conftest import Desk

pytestmark = pytest.mark.slow


def _refused(desk: Desk, needs: Needs | None = None, **settings: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        desk.up(needs, **settings)
    assert caught.value.hint
    return caught.value


def test_no_room_in_one_zone_is_tried_in_another(desk: Desk) -> None:
    zone = {"zone": "us-east-1a"}
    desk.lab.fault(error="InsufficientInstanceCapacity", service="ec2", action="RunInstances", match=zone)
    assert "us-east-1b" in desk.up(instance_type="t3.large").note


def test_no_room_anywhere_says_what_was_tried_and_what_to_change(desk: Desk) -> None:
    desk.lab.fault(error="InsufficientInstanceCapacity", service="ec2", action="RunInstances")
    error = _refused(desk, instance_type="t3.large")
    assert error.hint is not None
    assert all(word in error.hint for word in ("instance_type", "region", "spot"))
    assert error.detail is not None
    assert "t3.large in us-east-1a: InsufficientInstanceCapacity" in error.detail
    assert len(error.detail.splitlines()) >= 2
    desk.lab.clear_faults()
    assert desk.up().state is State.RUNNING


def test_a_type_that_was_chosen_gives_way_to_the_next(desk: Desk) -> None:
    first = desk.up(size="cpu=4,mem=16").note.split(",")[0]
    found = desk.provider.find(desk.identity)
    assert found is not None
    desk.provider.destroy(found, events.ignore)
    match = {"InstanceType": first}
    desk.lab.fault(error="InsufficientInstanceCapacity", service="ec2", action="RunInstances", match=match)
    assert desk.up(size="cpu=4,mem=16").note.split(",")[0] != first


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "MaxSpotInstanceCountExceeded"])
def test_without_spot_it_is_one_on_demand(desk: Desk, code: str) -> None:
    match = {"InstanceMarketOptions.MarketType": "spot"}
    desk.lab.fault(error=code, service="ec2", action="RunInstances", match=match)
    assert "spot" not in desk.up(spot=True).note
    assert any(code in text and "on demand" in text for text in desk.notices())


def test_a_spot_instance_is_stopped_started_and_leaves_no_request(desk: Desk) -> None:
    machine = desk.up(spot=True)
    assert "spot" in machine.note
    with pytest.raises(ProviderError, match="spot"):
        desk.provider.resize(machine, desk.spec(instance_type="m5.xlarge"), events.ignore)
    machine = desk.provider.start(desk.provider.stop(machine, events.ignore), events.ignore)
    assert machine.state is State.RUNNING
    desk.provider.destroy(machine, events.ignore)
    assert [item.kind for item in desk.provider.audit()] == []


@pytest.mark.parametrize(
    "code, words",
    [
        ("VcpuLimitExceeded", "quota of processors"),
        ("UnauthorizedOperation", "may not call"),
        ("ExpiredToken", "have expired"),
        ("AuthFailure", "does not accept the credentials"),
    ],
)
def test_what_is_refused_is_explained(desk: Desk, code: str, words: str) -> None:
    desk.lab.fault(error=code, service="ec2", action="RunInstances", message="You are not authorized to do this")
    assert words in _refused(desk, instance_type="t3.large").message


def test_throttling_is_waited_for_and_then_said(desk: Desk) -> None:
    desk.lab.fault(error="RequestLimitExceeded", service="ec2", action="RunInstances", times=2)
    assert desk.up(instance_type="t3.large").state is State.RUNNING
    desk.lab.fault(error="RequestLimitExceeded", service="ec2", action="DescribeInstances")
    with pytest.raises(ProviderError, match="no more calls"):
        desk.provider.find(desk.identity)


def test_one_failed_call_is_not_gone(desk: Desk) -> None:
    machine = desk.up(instance_type="t3.large")
    desk.lab.fault(error="InternalError", status=500, service="ec2", action="DescribeInstances", times=2)
    assert desk.provider.refresh(machine).state is State.RUNNING


@pytest.mark.parametrize(
    "settings, setting",
    [
        ({"instance_type": "no.such"}, "instance_type"),
        ({"image": "ami-00000000000000000"}, "image"),
        ({"image": "/no/such/parameter"}, "image"),
        ({"subnet": "subnet-0000000000000000"}, "subnet"),
        ({"instance_profile": "no-such"}, "instance_profile"),
        ({"access": "session-manager"}, "instance_profile"),
        ({"size": "cpu=9999"}, "size"),
    ],
)
def test_a_setting_that_aws_does_not_know_is_named(desk: Desk, settings: dict[str, Any], setting: str) -> None:
    error = _refused(desk, **settings)
    assert setting in str(error.hint)
    assert desk.kept("instance") == []


def test_other_words_that_cannot_be(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="system package"):
        desk.up(Needs(packages=("tree; reboot",)))
    with pytest.raises(ProviderError, match="not an address"):
        desk.up(ingress=["everybody"])
    with pytest.raises(ProviderError, match="no image of"):
        desk.up(Needs(os="plan9-4"))
    with pytest.raises(ProviderError, match="is not"):
        desk.up(Needs(architecture="aarch64"), instance_type="t3.large")


def test_the_address_cannot_be_found_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSENV_CHECKIP_URL", "http://127.0.0.1:1/")
    error = _refused(desk)
    assert "ingress" in str(error.hint)
    assert desk.up(ingress=[desk.lab.gateway]).state is State.RUNNING


def test_a_resize_that_fails_leaves_it_as_it_was(desk: Desk) -> None:
    machine = desk.up(instance_type="t3.large")
    # Once with all its repetitions: AWS answers this one as a server error, which botocore tries again.
    desk.lab.fault(error="InsufficientInstanceCapacity", service="ec2", action="StartInstances", times=4)
    with pytest.raises(ProviderError, match=r"stays a t3\.large"):
        desk.provider.resize(machine, desk.spec(instance_type="m5.xlarge"), events.ignore)
    again = desk.provider.refresh(machine)
    assert again.state is State.RUNNING
    assert again.note.startswith("t3.large")


def test_prices_that_are_not_told(desk: Desk) -> None:
    desk.lab.fault(error="AccessDeniedException", service="pricing")
    machine = desk.up()
    assert desk.provider.price(machine) is None
    assert any("without prices" in text for text in desk.notices())
    assert {item.per_hour for item in desk.provider.audit() if item.kind == "instance"} == {None}


def test_what_check_says(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def said() -> str:
        return " ".join(f"{problem.message} -> {problem.hint}" for problem in AwsProvider().check())

    assert said() == ""
    desk.lab.fault(error="UnauthorizedOperation", service="ec2", action="DescribeInstances")
    assert "may not call ec2:DescribeInstances" in said()
    assert "policy" in said()
    desk.lab.clear_faults()
    desk.lab.fault(error="ExpiredToken", service="sts")
    assert "expired" in said()
    desk.lab.clear_faults()
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        begun = time.monotonic()
        assert "cannot be reached" in said()
        assert time.monotonic() - begun < 60
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        assert "no AWS credentials" in said()
        assert desk.provider.machines() == []
    with monkeypatch.context() as patch:
        patch.delenv("AWS_DEFAULT_REGION")
        assert "no AWS region" in said()
    with monkeypatch.context() as patch:
        patch.setenv("AWS_PROFILE", "no-such")
        assert "no-such" in said()


def _advice() -> dict[str, list[str]]:
    said: dict[str, list[str]] = {"ok": [], "note": [], "fix": []}
    for item in AwsProvider().advice():
        said[item.status].append(f"{item.message} -> {item.hint}")
    return said


def test_doctor_knows_quotas_permissions_and_prices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.identity.root)
    tables = '[workstations.one]\nprovider = "aws"\n[workstations.graphics]\nprovider = "aws"\nsize = "gpu=1"\n'
    (desk.identity.root / "dsenv.toml").write_text(f'[project]\nname = "desk"\n{tables}')
    desk.lab.calls(clear=True)
    said = _advice()
    assert (said["fix"], said["note"]) == ([], [])
    assert any("0 of 640" in text and "one (t3.large) takes 2" in text for text in said["ok"])
    assert any("L-DB2E81BA" in text and "graphics" in text for text in said["ok"])
    assert desk.lab.ledger() == []
    desk.up()
    assert any("2 of 640" in text and "takes" not in text for text in _advice()["ok"])
    desk.lab.quota("L-DB2E81BA", 0)
    desk.lab.fault(error="UnauthorizedOperation", service="ec2", action="(Run|Terminate)Instances")
    desk.lab.fault(error="UnauthorizedOperation", service="ec2", action="DescribeSnapshots")
    desk.lab.fault(error="AccessDeniedException", service="pricing")
    said = _advice()
    assert any("0 of 0" in text and "--quota-code L-DB2E81BA --desired-value 4" in text for text in said["fix"])
    for action in ("RunInstances", "TerminateInstances"):
        assert any(f"ec2:{action}" in text and "dsenv doctor --policy aws" in text for text in said["fix"])
    assert any("DescribeSnapshots" in text and "dsenv audit" in text for text in said["note"])
    assert any("prices" in text and "policy" in text for text in said["note"])
    desk.lab.clear_faults()
    desk.lab.fault(error="AccessDeniedException", service="servicequotas")
    assert any("quotas" in text and "policy" in text for text in _advice()["note"])
    assert len(desk.kept("instance")) == 1


def test_a_plain_wish_takes_no_accelerator(desk: Desk) -> None:
    """Their quotas are small, or zero, where an account is new."""
    desk.lab.quota("L-DB2E81BA", 0)
    assert desk.up(size="cpu=4,mem=16").note.startswith(("m", "c", "r"))
