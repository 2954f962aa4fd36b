"""What keeps us from working in the account, found out without changing anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from dsenv.config import load
from dsenv.config.schema import Workstation
from dsenv.errors import ConfigError, ProviderError
from dsenv.models.machine import Problem
from dsenv.providers.aws import session
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import DENIED, POLICY, AwsError

# Calls that say whether they would be allowed, and do nothing.
_TRIALS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("ec2:DescribeInstances", "describe_instances", {}),
    ("ec2:DescribeSubnets", "describe_subnets", {}),
    ("ec2:DescribeVolumes", "describe_volumes", {}),
)


def problems(cloud_of: Callable[[str, str], Cloud]) -> list[Problem]:
    """Of the regions and profiles that the project here uses; of the default ones where it says nothing."""
    found: list[Problem] = []
    for region, profile in sorted({place(item) for item in wanted().values()}):
        try:
            found += _problems(cloud_of(region, profile))
        except ProviderError as error:
            found.append(Problem(error.message, error.hint or "aws sts get-caller-identity"))
    if any(item.access == "session-manager" for item in wanted().values()) and shutil.which(session.PLUGIN) is None:
        found.append(
            Problem(
                f"{session.PLUGIN} is not installed, which access through Session Manager needs",
                "install it as AWS describes under 'Install the Session Manager plugin'",
            )
        )
    return list(dict.fromkeys(found))


def wanted() -> dict[str, Workstation]:
    """The workstations on AWS of the project here, by name; one with the defaults where it has none."""
    try:
        project = load.load_if_any()
    except ConfigError:
        project = None  # its own command says what is wrong with the file
    listed = project.config.workstations.items() if project else ()
    return {name: item for name, item in listed if item.provider == "aws"} or {"default": Workstation(provider="aws")}


def place(settings: Workstation) -> tuple[str, str]:
    """The region and the profile; empty is what the user's configuration says."""
    return settings.region or "", settings.profile or ""


def _problems(cloud: Cloud) -> list[Problem]:
    if not cloud.owner:
        return [Problem("AWS does not say who you are", "aws sts get-caller-identity")]
    found = []
    for action, operation, parameters in _TRIALS:
        try:
            cloud.ec2(operation, "cannot look around in AWS", DryRun=True, **parameters)
        except AwsError as error:
            if error.code == "DryRunOperation":
                continue
            if error.code in DENIED:
                found.append(Problem(f"your AWS user may not call {action} in {cloud.region}", POLICY))
                continue
            found.append(Problem(error.message, error.hint or "aws sts get-caller-identity"))
            break
    return found
