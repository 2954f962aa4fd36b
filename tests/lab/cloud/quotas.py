"""Service quotas: vCPUs by family, on demand and spot, as Service Quotas lists them and RunInstances enforces them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tests.lab.cloud.patches.replacing import refusal


@dataclasses.dataclass
class Quota:
    code: str
    name: str
    families: str  # a regular expression of instance families
    spot: bool
    value: float


STANDARD = "[acdhimrtz]"
GRAPHICS = "(g|vt)"
TRAINING = "p"
QUOTAS = [
    Quota("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", STANDARD, False, 640),
    Quota("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", STANDARD, True, 640),
    Quota("L-DB2E81BA", "Running On-Demand G and VT instances", GRAPHICS, False, 64),
    Quota("L-3819A6DF", "All G and VT Spot Instance Requests", GRAPHICS, True, 64),
    # A new account may not run these at all.
    Quota("L-417A185B", "Running On-Demand P instances", TRAINING, False, 0),
    Quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", TRAINING, True, 0),
    Quota("L-74FC7D96", "Running On-Demand F instances", "f", False, 0),
    Quota("L-43DA4232", "Running On-Demand High Memory instances", "u", False, 0),
    Quota("L-1945791B", "Running On-Demand Inf instances", "inf", False, 8),
    Quota("L-2C3B7624", "Running On-Demand Trn instances", "trn", False, 8),
    Quota("L-7295265B", "Running On-Demand X instances", "x", False, 8),
]


_DEFAULTS = {quota.code: quota.value for quota in QUOTAS}


def restore() -> None:
    for quota in QUOTAS:
        quota.value = _DEFAULTS[quota.code]


def enforce(backend: Any, instance_type: str, count: int, *, spot: bool) -> None:
    """Refuse a launch that goes beyond the quota."""
    quota = _covering(instance_type, spot=spot)
    if quota is None:
        return
    used = sum(
        vcpus(instance.instance_type)
        for instance in backend.all_instances()
        if instance.state in ("pending", "running")
        and _covering(instance.instance_type, spot=instance.lifecycle == "spot") is quota
    )
    if used + count * vcpus(instance_type) > quota.value:
        if spot:
            raise refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        message = (
            f"You have requested more vCPU capacity than your current vCPU limit of {quota.value:.0f} allows for the "
            "instance bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
        )
        raise refusal("VcpuLimitExceeded", message)


def vcpus(instance_type: str) -> int:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    known = INSTANCE_TYPES.get(instance_type)
    return int(known["VCpuInfo"]["DefaultVCpus"]) if known else 0


def _covering(instance_type: str, *, spot: bool) -> Quota | None:
    family = (re.match("[a-z]+", instance_type) or [""])[0]
    return next((q for q in QUOTAS if q.spot is spot and re.fullmatch(q.families, family)), None)


def answer(action: str, params: dict[str, Any], region: str) -> dict[str, Any] | None:
    """The answer of Service Quotas; None: moto's will do."""
    rows = [
        {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{region}:123456789012:ec2/{quota.code}",
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "Value": quota.value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        for quota in QUOTAS
    ]
    if params.get("ServiceCode") != "ec2":
        return None
    if action in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        return {"Quotas": rows}
    if action in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        return next(({"Quota": row} for row in rows if row["QuotaCode"] == params.get("QuotaCode")), None)
    return None
