"""Which instance type: the one that is asked for, or the cheapest that has what is needed."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from dsenv.errors import ProviderError
from dsenv.events import Emit, Notice
from dsenv.models.machine import Needs
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.images import aws_architecture
from dsenv.providers.aws.prices import Prices
from dsenv.providers.size import Size

_SMALLEST = Size(2, 8)
_LISTED = 12  # of those that look cheapest, whose prices are asked
_KEPT = 3  # which are tried one after the other when there is no capacity
# Processors that are lent by the minute: fine for a small machine, not for one that was asked for its processors.
_LENT = re.compile(r"^t\d")
_LENT_CPUS = 2
_VCPUS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 448)
_ACCELERATORS = ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
_ACCELERATED = re.compile(r"(g|gr|p|vt|f|inf|trn|dl)\d")
# What a processor that has these words in /proc/cpuinfo is called in the names of types: family, generation, maker.
_X86_ALL = frozenset({"sse2", "ssse3", "sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c"})
_AVX512 = frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"})
_ARM_ALL = frozenset({"asimd"})
_ARM_2 = frozenset({"asimddp", "asimdhp"})
_ARM_3 = frozenset({"sve", "bf16", "i8mm"})


@dataclasses.dataclass(frozen=True)
class Type:
    """An instance type, as EC2 describes it."""

    name: str
    cpus: int
    memory_gb: float
    gpus: int
    architectures: tuple[str, ...]  # in EC2's words
    maker: str
    accelerated: bool = False  # by a part of a GPU, or by something else that costs and has a small quota

    @classmethod
    def read(cls, item: dict[str, Any]) -> Type:
        gpus = item.get("GpuInfo", {}).get("Gpus", ())
        return cls(
            str(item["InstanceType"]),
            int(item["VCpuInfo"]["DefaultVCpus"]),
            int(item["MemoryInfo"]["SizeInMiB"]) / 1024,
            sum(int(gpu.get("Count", 1)) for gpu in gpus if gpu.get("Manufacturer", "NVIDIA") == "NVIDIA"),
            tuple(item.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
            str(item.get("ProcessorInfo", {}).get("Manufacturer", "")),
            accelerated=any(item.get(part) for part in _ACCELERATORS) or bool(_ACCELERATED.match(item["InstanceType"])),
        )

    @property
    def rough_price(self) -> float:
        """An order by price for when prices cannot be had: memory and processors cost about this everywhere."""
        maker = 0.95 if self.maker == "AMD" else 1.0
        return (
            maker * (self.cpus * 0.035 + self.memory_gb * 0.004) * (0.85 if _LENT.match(self.name) else 1)
            + self.gpus * 0.5
        )

    @property
    def features(self) -> frozenset[str]:
        """Words of /proc/cpuinfo that its processor surely has."""
        found = re.match(r"[a-z]+(\d+)", self.name)
        generation = int(found[1]) if found else 0
        if "arm64" in self.architectures:
            return (
                _ARM_ALL | (_ARM_2 if generation >= 6 else frozenset()) | (_ARM_3 if generation >= 7 else frozenset())
            )
        words = _X86_ALL if generation >= 3 else frozenset()
        if self.name.startswith("g4dn") or (self.maker == "Intel" and generation >= 5 and not _LENT.match(self.name)):
            words |= _AVX512 | (frozenset({"avx512_vnni"}) if generation >= 6 else frozenset())
        if self.maker == "Intel" and generation >= 7:
            words |= {"avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"}
        if self.maker == "AMD" and generation >= 7:
            words |= _AVX512 | {"avx512_vnni", "avx512_bf16"}
        return words


_DECIDABLE = _X86_ALL | _AVX512 | _ARM_ALL | _ARM_2 | _ARM_3 | {
    "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16",
}  # fmt: skip


def given(cloud: Cloud, name: str) -> Type:
    """The type of that name. Raises ProviderError."""
    answer = cloud.ec2("describe_instance_types", f"cannot use the instance type {name}", InstanceTypes=[name])
    if not answer["InstanceTypes"]:
        raise ProviderError(f"there is no instance type {name} in {cloud.region}", hint="change `instance_type`")
    return Type.read(answer["InstanceTypes"][0])


def cheapest(cloud: Cloud, prices: Prices, size: Size, needs: Needs, emit: Emit) -> list[Type]:
    """The types that have at least `size` and what else is needed, cheapest first. Raises ProviderError."""
    wanted = size.at_least(needs)
    if not (wanted.cpus or wanted.memory_gb or wanted.gpus):
        wanted = _SMALLEST
    architecture = aws_architecture(needs.architecture or "x86_64")
    found = _candidates(cloud, wanted, architecture, needs)
    if not found:
        words = " ".join(sorted(needs.cpu_features & _DECIDABLE))
        raise ProviderError(
            f"no instance type in {cloud.region} has {wanted}{' with ' + words if words else ''} ({architecture})",
            hint="ask for less with `size`, or set `instance_type` or another `region`",
        )
    found = sorted(found, key=lambda item: (item.rough_price, item.name))[:_LISTED]
    costs = prices.instances([item.name for item in found])
    if prices.refused:
        emit(Notice(f"the instance type is chosen without prices: {prices.refused.message}", "warning"))
    priced = [item for item in found if costs[item.name] is not None] or found
    return sorted(priced, key=lambda item: (costs[item.name] or 0.0, item.rough_price))[:_KEPT]


def _candidates(cloud: Cloud, wanted: Size, architecture: str, needs: Needs) -> list[Type]:
    counts = [count for count in _VCPUS if count >= wanted.cpus]
    steps = [counts[:3], counts[3:6], counts[6:]]  # most wishes are met by the first pages already
    for step in filter(None, steps):
        filters = {
            "processor-info.supported-architecture": [architecture],
            "current-generation": ["true"],
            "bare-metal": ["false"],
            "vcpu-info.default-vcpus": [str(count) for count in step],
        }
        items = cloud.pages(
            "describe_instance_types",
            "InstanceTypes",
            "cannot list the instance types",
            Filters=[{"Name": name, "Values": values} for name, values in filters.items()],
        )
        found = [kind for item in items if _serves(kind := Type.read(item), wanted, needs)]
        if found:
            return found
    return []


def _serves(item: Type, wanted: Size, needs: Needs) -> bool:
    enough = item.cpus >= wanted.cpus and item.memory_gb >= wanted.memory_gb and item.gpus >= wanted.gpus
    fair = wanted.cpus <= _LENT_CPUS or not _LENT.match(item.name)
    plain = wanted.gpus > 0 or not (item.gpus or item.accelerated)
    return enough and fair and plain and needs.cpu_features & _DECIDABLE <= item.features
