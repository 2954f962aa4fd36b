"""Hosts as containers: systemd as PID 1, a disk that outlives a stop, an end that tells power-off from reboot."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.lab.cloud.addresses import LABEL, Ranges

# systemd wants its own control groups and may mount; SYS_BOOT lets reboot(2) end the container with a code that
# says which it was. `--privileged` would need rights that a virtual machine may not have itself.
CAPABILITIES = ["SYS_ADMIN", "SYS_BOOT", "NET_ADMIN"]
POWERED_OFF, REBOOTED = 130, 129
_UNCONFINED = ["seccomp=unconfined", "apparmor=unconfined"]
_TEMPORARY = {"/run": "exec,mode=755", "/run/lock": ""}


class Containers:
    """The engine, for the hosts of one lab. Thread-safe: every thread has a connection of its own."""

    def __init__(self, ranges: Ranges, image: str) -> None:
        self._ranges = ranges
        self._image = image
        self._own = threading.local()

    @property
    def _api(self) -> Any:
        if not hasattr(self._own, "api"):
            self._own.api = _connect(120)
        return self._own.api

    def create(self, name: str, private: str, user: str) -> None:
        """A host that is switched off. `user` is the AMI's own: admin, ubuntu, ec2-user."""
        api = self._api
        hostname = f"ip-{private.replace('.', '-')}"
        self._create(name, private, hostname=hostname, tty=True)
        api.put_archive(name, "/etc/cloud/cloud.cfg.d", _tar("99_user.cfg", _default_user(user)))

    def _create(self, name: str, private: str | None, **options: Any) -> None:
        api, ranges = self._api, self._ranges
        host = api.create_host_config(
            cap_add=CAPABILITIES, security_opt=_UNCONFINED, tmpfs=_TEMPORARY, network_mode=ranges.bridge
        )
        host["CgroupnsMode"] = "private"
        network = api.create_networking_config({ranges.bridge: api.create_endpoint_config(ipv4_address=private)})
        key, value = ranges.label.split("=")
        api.create_container(
            self._image, name=name, host_config=host, networking_config=network, labels={key: value}, **options
        )

    def impostor(self, name: str) -> None:
        """Another machine with sshd: made and started."""
        script = "ssh-keygen -A >/dev/null && mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e"
        self._create(name, None, entrypoint=["/bin/sh", "-c", script], stop_signal="SIGTERM")
        self._api.start(name)

    def start(self, name: str) -> tuple[int, str]:
        """Switch it on. Returns its PID 1, as this machine counts, and its MAC address."""
        self._api.start(name)
        return self.seen(name)

    def runs(self, name: str) -> bool:
        return bool(self._api.inspect_container(name)["State"]["Running"])

    def seen(self, name: str) -> tuple[int, str]:
        state = self._api.inspect_container(name)
        return int(state["State"]["Pid"]), state["NetworkSettings"]["Networks"][self._ranges.bridge]["MacAddress"]

    def stop(self, name: str, grace: int) -> None:
        """As EC2 does: the operating system is asked, and after `grace` seconds it is not asked any more."""
        self._api.stop(name, timeout=grace)

    def kill(self, name: str) -> None:
        import docker.errors

        try:
            self._api.kill(name)
        except docker.errors.APIError:  # it ended by itself in the meantime
            return

    def remove(self, name: str) -> None:
        import docker.errors

        try:
            self._api.remove_container(name, force=True, v=True)
        except docker.errors.NotFound:
            return

    def console(self, name: str) -> str:
        text: bytes = self._api.logs(name, tail=600)
        return text.decode(errors="replace").replace("\r\n", "\n")[-65536:]

    def run(self, name: str, argv: list[str]) -> tuple[int, str]:
        """A program in the host, as root, without SSH: its exit code and what it printed."""
        api = self._api
        started = api.exec_create(name, argv)
        output: bytes = api.exec_start(started["Id"])
        return int(api.exec_inspect(started["Id"])["ExitCode"]), output.decode(errors="replace")

    def ends(self) -> Iterator[tuple[str, int]]:
        """Name and exit code of every host that ends, as it ends."""
        filters = {"label": self._ranges.label, "event": "die", "type": "container"}
        # Hours may pass without a word.
        for event in _connect(None).events(decode=True, filters=filters):
            attributes = event["Actor"]["Attributes"]
            yield attributes["name"], int(attributes["exitCode"])

    def sweep(self, ranges: Ranges | None = None) -> None:
        """Remove every container of this lab's slot, or of another."""
        label = (ranges or self._ranges).label
        for found in self._api.containers(all=True, quiet=True, filters={"label": label}):
            self.remove(found["Id"])

    def slots(self) -> set[int]:
        """The slots of which the engine holds anything: a lab opens its network first and removes it last."""
        marked = {"filters": {"label": LABEL}}
        found = [*self._api.containers(all=True, **marked), *self._api.networks(**marked)]
        return {int(thing["Labels"][LABEL]) for thing in found}

    def watch(self, ended: Callable[[str, int], None]) -> None:
        def work() -> None:
            for name, code in self.ends():
                ended(name, code)

        threading.Thread(target=work, name="ends", daemon=True).start()


def _connect(timeout: int | None) -> Any:
    import docker

    return docker.APIClient(timeout=timeout)


def _default_user(user: str) -> bytes:
    return f"""\
system_info:
  default_user:
    name: {user}
    gecos: Cloud user
    groups: [adm, sudo]
    sudo: ['ALL=(ALL) NOPASSWD:ALL']
    shell: /bin/bash
""".encode()


def _tar(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o644
        tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
