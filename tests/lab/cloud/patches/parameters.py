"""The public SSM parameters that name the newest images of Debian, Ubuntu and Amazon Linux.

moto knows Amazon's only, and those name images that it does not have.
"""

from __future__ import annotations

from typing import Any

from tests.lab.cloud import catalog
from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    from moto.core.utils import utcnow
    from moto.ssm import models

    parameter_class: Any = models.Parameter

    @replaces(models.ParameterDict, "_check_loading_status")
    def load(before: Any, self: Any, key: str) -> None:
        self.latest_amis_loaded = True
        before(self, key)
        if not str(key or "").startswith("/aws/service") or getattr(self, "lab_loaded", False):
            return
        self.lab_loaded = True
        for name, image in catalog.PARAMETERS.items():
            parameter = parameter_class(
                account_id=self.account_id,
                name=name,
                value=image,
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=utcnow(),
                version=1,
                data_type="aws:ec2:image",
            )
            dict.__setitem__(self, name, [parameter])
