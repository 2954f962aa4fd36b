"""The test cloud as tests see it: started, asked, disturbed and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).parent / "bin"

T = TypeVar("T")


class LabError(Exception):
    """The lab does not do what a test asked for."""


def until(condition: Callable[[], T], what: str, seconds: float = 120, every: float = 0.05) -> T:
    """The first result that is true. Raises LabError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise LabError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


class Lab:
    """One cloud in a process of its own. `with Lab(folder) as lab:` starts and ends it."""

    def __init__(self, state: Path, name: str = "lab", image: str = "") -> None:
        """`state` is a folder of its own; `name` is for people; `image` saves looking for the hosts' image."""
        self._state = state
        self._name = name
        self._image = image
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: dict[str, Any] = {}

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers: two seconds, or minutes where it has to make the hosts' image first."""
        self._state.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "tests.lab.cloud", "--state", str(self._state), "--name", self._name]
        argv += ["--image", self._image]
        # What a test run measures or forbids is meant for the tests, not for the cloud.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "PYTHON", "AWS_", "MOTO_"))}
        announced = self._state / "cloud.json"
        announced.unlink(missing_ok=True)
        with (self._state / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "--parent", str(os.getpid())],
                cwd=_ROOT,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: announced.exists() or self._ended(), "the cloud is ready", 60 if self._image else 900)
        self._facts = json.loads(announced.read_text(encoding="utf-8"))

    def _ended(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise LabError(f"the cloud ended: {self.log()[-2000:]}")
        return False

    def stop(self) -> None:
        """End it; its hosts, addresses and rules go with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                # The next lab sweeps what this one leaves.
                self._process.kill()
                self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._state / "log").read_text(encoding="utf-8", errors="replace")

    # --- what a client under test needs -------------------------------------

    @property
    def endpoint(self) -> str:
        return str(self._facts["endpoint"])

    @property
    def gateway(self) -> str:
        """The address from which this machine connects to the hosts."""
        return str(self._facts["gateway"])

    @property
    def private(self) -> str:
        """The default VPC of every region, as 10.60.0.0/16."""
        return str(self._facts["private"])

    @property
    def slot(self) -> int:
        """Which of the labs of this machine it is."""
        return int(self._facts["slot"])

    @property
    def check_address(self) -> str:
        """URL of a service that tells callers their address."""
        return f"{self.endpoint}/_lab/checkip"

    def environment(self, region: str = "us-east-1") -> dict[str, str]:
        """Variables for a client: the endpoint, keys that are none, the stand-in for the session manager's plug-in."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIALAB",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PATH": f"{PLUGINS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }

    # --- what a test orders and asks ----------------------------------------

    def fault(self, **order: Any) -> None:
        """Something goes wrong from now on; `tests/lab/cloud/faults.py` says what there is."""
        self._call("POST", "faults", order)

    def faults(self) -> list[dict[str, Any]]:
        """The orders, with `hits`: how many calls each has met."""
        return list(self._call("GET", "faults"))

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def calls(self, *, clear: bool = False) -> list[dict[str, Any]]:
        """Every call of the API since the last clearing: service, region, action, params, key, fault."""
        return list(self._call("DELETE" if clear else "GET", "calls"))

    def boxes(self) -> dict[str, dict[str, Any]]:
        """By instance id: state, private, public, pid, user, region. Terminated ones are kept."""
        return dict(self._call("GET", "boxes"))

    def ledger(self) -> list[dict[str, Any]]:
        """Everything that exists and costs money or stays: kind, id, region, state, name, tags."""
        return list(self._call("GET", "ledger"))

    def crash(self, instance: str) -> None:
        """The host dies without a word."""
        self._call("POST", "crash", {"id": instance})

    def interrupt(self, instance: str, notice: float = 120, action: str = "terminate") -> None:
        """A spot interruption: a notice now, the deed after `notice` seconds."""
        self._call("POST", "interrupt", {"id": instance, "notice": notice, "action": action})

    def net(self, instance: str, do: str) -> None:
        """`cut`, `reset`, `metadata` or `heal`."""
        self._call("POST", "net", {"id": instance, "do": do})

    def impostor(self, instance: str) -> str:
        """A machine with another host key answers at its public address. Returns the container's name."""
        return str(self._call("POST", "impostor", {"id": instance})["container"])

    def unmask(self, instance: str) -> None:
        self._call("DELETE", "impostor", {"id": instance})

    def quota(self, code: str, value: float) -> None:
        self._call("POST", "quotas", {"code": code, "value": value})

    def address_seen(self, address: str | None) -> None:
        """What the service at `check_address` answers; None: the truth."""
        self._call("POST", "checkip", {"address": address})

    def run(self, instance: str, *argv: str, seconds: float = 60) -> str:
        """Run a program on the host as root, without SSH. Raises LabError when it fails."""
        argv = ("docker", "exec", instance, *argv)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            raise LabError(f"{argv} ended with {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout

    def put(self, instance: str, path: str, data: bytes) -> None:
        """Write a file of root's on the host."""
        argv = ("docker", "exec", "-i", instance, "sh", "-c", 'cat > "$0"', path)
        subprocess.run(argv, input=data, check=True, timeout=60)

    def console(self, instance: str) -> str:
        return subprocess.run(["docker", "logs", instance], capture_output=True, text=True, check=True).stdout

    def reset(self) -> None:
        """Forget faults, calls, other quotas and what callers are told of their address. What was made stays."""
        self.clear_faults()
        self.calls(clear=True)
        self.address_seen(None)
        self._call("DELETE", "quotas")

    def _call(self, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.endpoint}/_lab/{what}", data=data, method=method)
        try:
            # Never through a proxy of the machine's.
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise LabError(f"/_lab/{what}: {error.read().decode(errors='replace')}") from None
        return json.loads(text) if answer.headers.get_content_type() != "text/plain" else text.decode()
