"""What is written on everything that we make, so that the account alone says which workstation it belongs to."""

from __future__ import annotations

import dataclasses
import re
import socket
from pathlib import Path
from typing import Any

from dsenv.models.machine import Identity, Limits
from dsenv.state import installation

ID = "dsenv:id"
OWNER = "dsenv:owner"
KEYS = "dsenv:keys"
ACCESS = "dsenv:access"
HOST = "dsenv:host"
INSTALLATION = "dsenv:installation"
LIMITS = "dsenv:limits"
_NEVER = Limits(0, 0)
_LENGTH = 255  # of a value
_PIECES = 16
_PLAIN = re.compile(r"[A-Za-z0-9 +.:/@_-]")


def encoded(text: str) -> str:
    """Text in the characters that all services take in a tag: others become =XX, byte by byte."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if _PLAIN.match(chr(byte)) else f"={byte:02X}" for byte in data)


def decoded(value: str) -> str:
    """What `encoded` was given. Raises ValueError."""
    data = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), value.encode())
    return data.decode("utf-8", "surrogateescape")


@dataclasses.dataclass(frozen=True)
class Tags:
    """The tags of one workstation's parts."""

    identity: Identity
    owner: str
    created: int  # microseconds since the epoch
    host: str = dataclasses.field(default_factory=socket.gethostname)  # the name of the machine that has its keys
    installation: str = dataclasses.field(default_factory=installation.here)  # of dsenv; empty: of one before these
    user: str = ""  # who logs in
    keys: str = ""  # which client key opens it: a digest of it
    access: str = "public"
    jump_host: str = ""
    limits: Limits = _NEVER

    @property
    def ours(self) -> bool:
        """Whether the keys were made here, as far as that can be known."""
        return self.installation == installation.here() if self.installation else self.host == socket.gethostname()

    def items(self) -> dict[str, str]:
        """Names and values, each within the limits of EC2."""
        values = {
            ID: self.identity.id,
            "dsenv:project": self.identity.project,
            "dsenv:name": self.identity.name,
            OWNER: encoded(self.owner)[:_LENGTH],
            "dsenv:created": str(self.created),
            HOST: encoded(self.host)[:_LENGTH],
            INSTALLATION: self.installation,
            "dsenv:user": self.user,
            KEYS: self.keys,
            ACCESS: encoded(" ".join([self.access, self.jump_host]).strip())[:_LENGTH],
            LIMITS: f"{self.limits.idle_seconds} {self.limits.max_seconds}",
            "Name": f"dsenv-{self.identity.project}-{self.identity.name}",
        }
        root = encoded(str(self.identity.root))
        if len(root) > _LENGTH * _PIECES:
            root = ""  # longer than any system's paths; such a workstation cannot be found again without its state
        for index in range(0, len(root), _LENGTH):
            values[f"dsenv:root-{index // _LENGTH}"] = root[index : index + _LENGTH]
        return values

    def specification(self, *kinds: str) -> list[dict[str, Any]]:
        """The `TagSpecifications` of a call that makes things of these kinds."""
        tags = [{"Key": key, "Value": value} for key, value in self.items().items()]
        return [{"ResourceType": kind, "Tags": tags} for kind in kinds]

    @classmethod
    def read(cls, item: dict[str, Any]) -> Tags | None:
        """The tags of a thing that a call described; None when it is not ours, or not in a form that we know."""
        values = plain(item)
        if ID not in values:
            return None
        root = "".join(values.get(f"dsenv:root-{index}", "") for index in range(_PIECES))
        access, _, jump_host = decoded(values.get(ACCESS, "public")).partition(" ")
        try:
            idle, longest = (int(word) for word in values.get(LIMITS, "0 0").split())
            found = cls(
                Identity(Path(decoded(root)), values["dsenv:project"], values["dsenv:name"]),
                owner=decoded(values.get(OWNER, "")),
                created=int(values["dsenv:created"]),
                host=decoded(values.get(HOST, "")),
                installation=values.get(INSTALLATION, ""),
                user=values.get("dsenv:user", ""),
                keys=values.get(KEYS, ""),
                access=access,
                jump_host=jump_host,
                limits=Limits(idle, longest),
            )
        except (KeyError, ValueError):
            return None
        return found if root and found.identity.id == values[ID] else None


def plain(item: dict[str, Any]) -> dict[str, str]:
    """The tags of a described thing as a dictionary."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in item.get("Tags") or item.get("TagSet") or ()}


def of_workstation(identity: Identity) -> list[dict[str, Any]]:
    """The filter of calls that looks for one workstation's parts, whoever made them."""
    return [{"Name": f"tag:{ID}", "Values": [identity.id]}]


def same_owner(tagged: str, owner: str) -> bool:
    """Whether an owner that was read from a tag, which may have cut it, is this one."""
    return encoded(tagged)[:_LENGTH] == encoded(owner)[:_LENGTH]


OURS = [{"Name": "tag-key", "Values": [ID]}]
