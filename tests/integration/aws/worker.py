"""One verb of the provider, for tests that kill it: `worker.py FACTS`; begins when a line comes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dsenv import events
from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.errors import DsenvError
from dsenv.models.machine import Identity
from dsenv.providers.aws import contact
from dsenv.providers.aws.provider import AwsProvider
from dsenv.providers.base import Spec
from dsenv.transports.ssh import SshTransport
from tests.integration.aws import dying


def main(facts: str) -> int:
    wanted = json.loads(facts)
    identity = Identity(Path(wanted["root"]), "desk", "one")
    provider, spec = AwsProvider(), Spec(identity, Workstation(**wanted["settings"]))
    if wanted.get("dies"):
        dying.at_step(int(wanted["dies"]), contact.settle, SshTransport.run, paths.data_dir())
    sys.stdin.readline()
    try:
        if wanted["verb"] == "create":
            print(provider.create(spec, events.ignore).note)
            return 0
        machine = provider.find(identity)
        if machine is None:
            return 0
        if wanted["verb"] == "resize":
            provider.resize(machine, spec, events.ignore)
        else:
            getattr(provider, wanted["verb"])(machine, events.ignore)
    except DsenvError as error:
        print(f"{error.message}\n{error.hint}\n{error.detail}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
