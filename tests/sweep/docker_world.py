"""Workstations on the engine, reached through a door that counts; the referee asks the engine itself."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.sweep.commands import Launcher
from tests.sweep.engine_proxy import EngineProxy
from tests.sweep.points import Point
from tests.sweep.worlds import World

RANDOM_TIME = re.compile(r"(?<=-)\d{10}\b")
SIZES = ("cpu=1,mem=1", "cpu=1")


def docker(*words: str, check: bool = True) -> list[str]:
    """The lines that the docker command prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=check)
    return done.stdout.split("\n")[:-1]


class DockerWorld(World):
    provider: ClassVar[str] = "docker"

    def __init__(self, launcher: Launcher, base: Path, environ: dict[str, str], image: str, proxy: EngineProxy) -> None:
        self._proxy, self._user = proxy, f"sweep-{base.parent.name}-{base.name}"
        environ = environ | {"DOCKER_HOST": proxy.url, "LOGNAME": self._user}
        super().__init__(launcher, base, environ, f'image = "{image}"\nsize = "{SIZES[0]}"')
        self.built: str = ""  # the image that the workstation is made from

    def calls(self, *, clear: bool = False) -> list[str]:
        return self._proxy.calls(clear=clear)

    def arm(self, pid: int, point: Point) -> None:
        self._proxy.kill(pid, point.label, point.at, point.kind)

    def disarm(self) -> None:
        self._proxy.disarm()

    def held(self) -> list[tuple[str, str]]:
        labels = [f"label=dsenv.id={self.identity.id}", f"label=dsenv.user={self._user}"]
        containers = {
            line for label in labels for line in docker("ps", "-a", "--filter", label, "--format", "{{.ID}} {{.State}}")
        }
        volumes = {line for label in labels for line in docker("volume", "ls", "-q", "--filter", label)}
        found = [("container", line.split()[1]) for line in containers]
        found += [("volume", "") for _ in volumes]
        used = set(docker("ps", "-a", "--filter", labels[0], "--format", "{{.Image}}"))
        images = docker("images", "--filter", labels[0], "--format", "{{.Repository}}:{{.Tag}}")
        return sorted(found + [("image", "unused") for name in images if name not in used])

    def needed(self, state: str) -> list[tuple[str, str]]:
        if state == "absent":
            return []
        return [("container", {"stopped": "exited"}.get(state, state)), ("volume", "")]

    def size(self) -> str:
        (found,) = json.loads("".join(docker("inspect", f"dsenv-{self.identity.id}")))
        return SIZES[0] if found["HostConfig"]["Memory"] else SIZES[1]

    def details(self) -> object:
        """Names, images, and whether they were ever started; the image to be made."""
        label = f"label=dsenv.id={self.identity.id}"
        containers = docker("ps", "-a", "--filter", label, "--format", "{{.Names}} {{.State}} {{.Image}}")
        memory = [docker("inspect", "-f", "{{.HostConfig.Memory}}", line.split()[0])[0] for line in containers]
        there = bool(self.built and docker("images", "-q", self.built))
        files = [docker("diff", line.split()[0]) for line in containers if " created " in line]
        return [sorted(RANDOM_TIME.sub("*", line) for line in containers), sorted(memory), there, files]

    def without_image(self) -> None:
        """The image has to be built again."""
        if self.built:
            docker("rmi", "--force", self.built, check=False)

    def see_image(self) -> None:
        """Remember which image the workstation was made from."""
        (self.built,) = docker("inspect", "-f", "{{.Config.Image}}", f"dsenv-{self.identity.id}")

    def destroy(self) -> None:
        for label in (f"label=dsenv.id={self.identity.id}", f"label=dsenv.user={self._user}"):
            for line in docker("ps", "-aq", "--filter", label):
                docker("rm", "--force", "--volumes", line, check=False)
            for line in docker("volume", "ls", "-q", "--filter", label):
                docker("volume", "rm", "--force", line)
        for line in docker("images", "-q", "--filter", f"label=dsenv.id={self.identity.id}"):
            docker("rmi", "--force", line, check=False)
