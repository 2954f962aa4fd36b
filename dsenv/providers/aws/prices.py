"""What instances and disks cost: asked from the price list of AWS, remembered for a week."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dsenv.config import paths
from dsenv.errors import ProviderError, StateError
from dsenv.providers.aws.cloud import Cloud
from dsenv.state import store

HOURS_A_MONTH = 730
_VERSION = 1
_THREADS = 8
_KEPT_SECONDS = 7 * 86400
_ADDRESS_PER_HOUR = 0.005  # of a public IPv4 address, in every region


class Prices:
    """Of one region, in US dollars. What cannot be known is None, and is not asked again by this object."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: dict[str, list[float]] = self._read()
        self._writing = threading.Lock()
        self.refused: ProviderError | None = None

    def instance(self, kind: str) -> float | None:
        """An hour of an instance on demand."""
        filters = {
            "instanceType": kind,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
            "licenseModel": "No License required",
        }
        return self._price(kind, filters)

    def instances(self, kinds: Sequence[str]) -> dict[str, float | None]:
        """Many at once: each is a call of its own where it is not remembered."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return dict(zip(kinds, pool.map(self.instance, kinds), strict=True))

    def disk(self, gigabytes: int, kind: str = "gp3") -> float | None:
        """An hour of a disk."""
        month = self._price(f"disk {kind}", {"productFamily": "Storage", "volumeApiName": kind})
        return month * gigabytes / HOURS_A_MONTH if month is not None else None

    def address(self) -> float:
        """An hour of a public address."""
        return _ADDRESS_PER_HOUR

    def spot(self, kind: str, zone: str) -> float | None:
        """An hour of a spot instance, as it is now."""
        try:
            answer = self._cloud.ec2(
                "describe_spot_price_history",
                "cannot look at the prices of spot instances",
                InstanceTypes=[kind],
                ProductDescriptions=["Linux/UNIX"],
                AvailabilityZone=zone,
                MaxResults=1,
            )
        except ProviderError as error:
            self.refused = error
            return None
        history = answer["SpotPriceHistory"]
        return float(history[0]["SpotPrice"]) if history else None

    def _price(self, name: str, filters: dict[str, str]) -> float | None:
        known = self._known.get(name)
        if known and time.time() - known[1] < _KEPT_SECONDS:
            return known[0]
        if self.refused:
            return None
        wanted = {**filters, "regionCode": self._cloud.region}
        terms = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        try:
            answer = self._cloud.call(
                "pricing",
                "get_products",
                "cannot look at the prices",
                ServiceCode="AmazonEC2",
                Filters=terms,
                MaxResults=10,
            )
        except ProviderError as error:
            self.refused = error
            return None
        found = [price for text in answer["PriceList"] if (price := _on_demand(text)) > 0]
        if not found:
            return None
        with self._writing:
            self._known[name] = [min(found), time.time()]
            self._write()
        return min(found)

    @property
    def _file(self) -> Any:
        return paths.cache_dir() / "aws" / f"prices-{re.sub(r'[^a-z0-9-]', '', self._cloud.region)}.json"

    def _read(self) -> dict[str, list[float]]:
        try:
            value = store.read(self._file, version=_VERSION) or {}
        except StateError:
            return {}  # a cache
        known = value.get("prices")
        return dict(known) if isinstance(known, dict) else {}

    def _write(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            store.write(self._file, {"prices": self._known}, version=_VERSION)
        except (OSError, StateError):
            return  # it is asked again next time


def _on_demand(product: str | dict[str, Any]) -> float:
    """The price of a unit in one entry of the list; 0 where it has none."""
    entry: dict[str, Any] = json.loads(product) if isinstance(product, str) else product
    try:
        terms = entry["terms"]["OnDemand"].values()
        return max(
            float(dimension["pricePerUnit"]["USD"]) for term in terms for dimension in term["priceDimensions"].values()
        )
    except (KeyError, ValueError, AttributeError):
        return 0.0
