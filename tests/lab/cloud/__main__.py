"""`python -m tests.lab.cloud --state DIR`: the cloud, until it is told to end or its parent is gone.

Where it listens is in DIR/cloud.json once it is ready.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.lab.cloud import addresses, catalog
from tests.lab.cloud.world import say

# Read by moto when it is imported.
SETTINGS = {
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "1",
    "MOTO_ENABLE_AMI_VALIDATION": "1",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "1",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    # This machine may be an instance itself; nothing here may ask who it is.
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": "lab",
    "AWS_SECRET_ACCESS_KEY": "lab",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.cloud", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--name", default="lab", help="who it is for, in its log")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--image", default="", help="the hosts' image; made when it is not given")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is gone")
    chosen = parser.parse_args()
    chosen.state.mkdir(parents=True, exist_ok=True)
    os.environ.update(SETTINGS)
    os.environ["MOTO_AMIS_PATH"] = str(catalog.write(chosen.state / "amis.json"))
    ranges, lock = addresses.reserve()
    with lock:
        serve(chosen, ranges)
    return 0


def serve(chosen: argparse.Namespace, ranges: addresses.Ranges) -> None:
    from tests.lab import host_image
    from tests.lab.cloud.containers import Containers
    from tests.lab.cloud.net import Net
    from tests.lab.cloud.world import World

    containers = Containers(ranges, chosen.image or host_image.ensure())
    _sweep(containers, ranges)
    world = World(ranges, containers, Net(ranges))
    world.net.open()
    server, metadata = _listen(world, chosen.port)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
        if chosen.parent:
            threading.Thread(target=_follow, args=(chosen.parent, server), daemon=True).start()
        _announce(chosen, server.server_port, ranges)
        server.serve_forever(poll_interval=0.05)
    finally:
        metadata.shutdown()
        world.close()
        say("closed")


def _listen(world: Any, port: int) -> tuple[Any, Any]:
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from tests.lab.cloud import metadata, patches
    from tests.lab.cloud.faults import Faults
    from tests.lab.cloud.front import Front

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    patches.apply(world)
    faults = Faults()
    world.hidden = faults.hidden
    world.containers.watch(world.ended)
    front = Front(world, faults, DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, front, threaded=True, request_handler=MotoRequestHandler)
    os.environ["MOTO_PORT"] = str(server.server_port)
    return server, metadata.serve(world)


def _sweep(containers: Any, ranges: addresses.Ranges) -> None:
    """What labs left that were killed: of this slot, and of those that nobody holds."""
    from tests.lab.cloud.net import Net

    for left in addresses.abandoned(ranges, containers.slots()):
        containers.sweep(left)
        Net(left).close()


def _follow(parent: int, server: Any) -> None:
    while Path(f"/proc/{parent}").exists():
        time.sleep(0.5)
    server.shutdown()


def _announce(chosen: argparse.Namespace, port: int, ranges: addresses.Ranges) -> None:
    facts = {
        "endpoint": f"http://127.0.0.1:{port}",
        "pid": os.getpid(),
        "name": chosen.name,
        "slot": ranges.slot,
        "gateway": ranges.gateway,
        "private": str(ranges.private),
        "public": str(ranges.public),
    }
    beside = chosen.state / "cloud.json.new"
    beside.write_text(json.dumps(facts), encoding="utf-8")
    beside.rename(chosen.state / "cloud.json")
    say(f"{chosen.name}: ready at {facts['endpoint']}, hosts in {ranges.private} and {ranges.public}")


if __name__ == "__main__":
    sys.exit(main())
