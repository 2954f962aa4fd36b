"""How many processors the account may run at once, how many it runs, and whether what is wanted fits in."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from dsenv.models.machine import Advice
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import POLICY, AwsError

_ABSENT = "NoSuchResourceException"


@dataclasses.dataclass(frozen=True)
class Quota:
    """One of the quotas of EC2, which count processors of running instances by family."""

    code: str
    what: str
    families: str  # a regular expression of how the names of types begin
    spot: bool = False


_STANDARD, _GRAPHICS = r"([acdhimrtz]|im|is)\d", r"(g|gr|vt)\d"
QUOTAS = (
    Quota("L-1216C47A", "of the standard families on demand", _STANDARD),
    Quota("L-34B43A08", "of the standard families, spot", _STANDARD, spot=True),
    Quota("L-DB2E81BA", "of the families G and VT on demand", _GRAPHICS),
    Quota("L-3819A6DF", "of the families G and VT, spot", _GRAPHICS, spot=True),
    Quota("L-417A185B", "of the family P on demand", r"p\d"),
    Quota("L-7212CCBC", "of the families P2 to P4, spot", "p[2-4]", spot=True),
    Quota("L-7295265B", "of the family X on demand", r"x\d"),
)


def covering(kind: str, *, spot: bool) -> Quota | None:
    """The quota that counts an instance of this type."""
    return next((item for item in QUOTAS if item.spot is spot and re.match(item.families, kind)), None)


@dataclasses.dataclass(frozen=True)
class Wish:
    """A workstation of the project, and the instance that it is or would be."""

    name: str
    kind: str
    cpus: int
    spot: bool
    running: bool


def advice(cloud: Cloud, running: Sequence[dict[str, Any]], wishes: Sequence[Wish]) -> Iterator[Advice]:
    """About the standard quota, and those that the wishes need. `running`: all instances of the region that run."""
    used = _used(cloud, running)
    needed: dict[Quota, list[Wish]] = {}
    for wish in wishes:
        if quota := covering(wish.kind, spot=wish.spot):
            needed.setdefault(quota, []).append(wish)
    for quota in dict.fromkeys([QUOTAS[0], *needed]):
        try:
            value = _value(cloud, quota)
        except AwsError as error:
            yield Advice("note", error.message, error.hint or POLICY)
            return
        yield _one(cloud, quota, value, used[quota], needed.get(quota, ()))


def _one(cloud: Cloud, quota: Quota, value: int, used: int, all_of: Sequence[Wish]) -> Advice:
    wishes = [wish for wish in all_of if not wish.running]
    said = f"{cloud.region}: {used} of {value} processors {quota.what} are in use (quota {quota.code})"
    needed = sum(wish.cpus for wish in wishes)
    more = "; " + ", ".join(f"{wish.name} ({wish.kind}) takes {wish.cpus}" for wish in wishes) if wishes else ""
    if used + needed <= value or not wishes:
        return Advice("ok", f"{said}{more}")
    profile = f" --profile {cloud.profile}" if cloud.profile else ""
    return Advice(
        "fix",
        f"{said}{more}: {used + needed - value} too many",
        f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {quota.code} "
        f"--desired-value {used + needed} --region {cloud.region}{profile}",
    )


def _value(cloud: Cloud, quota: Quota) -> int:
    doing, names = "cannot look at the quotas", {"ServiceCode": "ec2", "QuotaCode": quota.code}
    try:
        answer = cloud.call("service-quotas", "get_service_quota", doing, **names)
    except AwsError as error:
        if error.code != _ABSENT:
            raise
        # One that was never changed may be known by its default only.
        answer = cloud.call("service-quotas", "get_aws_default_service_quota", doing, **names)
    return int(answer["Quota"]["Value"])


def _used(cloud: Cloud, running: Sequence[dict[str, Any]]) -> Counter[Quota]:
    kinds = Counter((str(item["InstanceType"]), item.get("InstanceLifecycle") == "spot") for item in running)
    used: Counter[Quota] = Counter()
    if not kinds:
        return used
    described = cloud.pages(
        "describe_instance_types",
        "InstanceTypes",
        "cannot look at the instance types that are in use",
        Filters=[{"Name": "instance-type", "Values": sorted({kind for kind, _ in kinds})}],
    )
    cpus = {str(item["InstanceType"]): int(item["VCpuInfo"]["DefaultVCpus"]) for item in described}
    for (kind, spot), count in kinds.items():
        if quota := covering(kind, spot=spot):
            used[quota] += count * cpus.get(kind, 0)
    return used
