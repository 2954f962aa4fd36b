"""The Price List service, as far as anybody asks: hours of instances, and what gp3 disks, snapshots and addresses cost.

Common types have the prices that us-east-1 had when this was written; of the others the price follows from the size.
"""

from __future__ import annotations

import json
from typing import Any

_KNOWN = {
    "t3.nano": 0.0052,
    "t3.micro": 0.0104,
    "t3.small": 0.0208,
    "t3.medium": 0.0416,
    "t3.large": 0.0832,
    "t3.xlarge": 0.1664,
    "t4g.small": 0.0168,
    "m5.large": 0.096,
    "m6i.large": 0.096,
    "m7i.large": 0.1008,
    "m7i.xlarge": 0.2016,
    "c7i.large": 0.08925,
    "r7i.large": 0.1323,
    "g5.xlarge": 1.006,
    "g6.xlarge": 0.8048,
    "p5.48xlarge": 55.04,
}
_STORAGE = {
    ("Storage", "gp3"): ("EBS:VolumeUsage.gp3", "GB-Mo", 0.08),
    ("Storage", "gp2"): ("EBS:VolumeUsage.gp2", "GB-Mo", 0.10),
    ("Storage Snapshot", ""): ("EBS:SnapshotUsage", "GB-Mo", 0.05),
    ("IP Address", ""): ("PublicIPv4:InUseAddress", "Hrs", 0.005),
}


def of(instance_type: str) -> float | None:
    """US dollars an hour on demand, Linux; None for a type that does not exist."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    if instance_type in _KNOWN:
        return _KNOWN[instance_type]
    facts = INSTANCE_TYPES.get(instance_type)
    if facts is None:
        return None
    memory = float(facts["MemoryInfo"]["SizeInMiB"]) / 1024
    gpus = sum(int(gpu.get("Count", 0)) for gpu in facts.get("GpuInfo", {}).get("Gpus", ()))
    return round(0.034 * int(facts["VCpuInfo"]["DefaultVCpus"]) + 0.0035 * memory + 0.8 * gpus, 4)


def products(params: dict[str, Any]) -> dict[str, Any]:
    """The answer to GetProducts."""
    wanted = {f["Field"]: f["Value"] for f in params.get("Filters", ())}
    listed: list[dict[str, Any]] = []
    if "instanceType" in wanted:
        price = of(wanted["instanceType"])
        if price is not None and wanted.get("operatingSystem", "Linux") == "Linux":
            defaults = {
                "operatingSystem": "Linux",
                "tenancy": "Shared",
                "capacitystatus": "Used",
                "preInstalledSw": "NA",
            }
            listed = [_product("Compute Instance", {**defaults, **wanted}, "Hrs", price)]
    else:
        listed = [
            _product(family, {**wanted, "volumeApiName": api, "usagetype": usage}, unit, price)
            for (family, api), (usage, unit, price) in _STORAGE.items()
            if wanted.get("productFamily", family) == family
            and wanted.get("volumeApiName", api) == api
            and wanted.get("usagetype", usage).endswith(usage)
        ]
    return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in listed]}


def _product(family: str, attributes: dict[str, str], unit: str, price: float) -> dict[str, Any]:
    dimension = {"unit": unit, "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": f"{price:.10f}"}}
    return {
        "serviceCode": "AmazonEC2",
        "product": {"productFamily": family, "sku": "LABSKU", "attributes": attributes},
        "terms": {
            "OnDemand": {
                "LABSKU.JRTCKXETXF": {
                    "offerTermCode": "JRTCKXETXF",
                    "priceDimensions": {"LABSKU.JRTCKXETXF.6YS6EN2CT7": dimension},
                }
            }
        },
    }
