"""The instance metadata service, as a host sees it at 169.254.169.254: with tokens, and about itself only."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lab.cloud.net import METADATA_PORT
from tests.lab.cloud.world import Box, World

TOKEN_LIFE = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


def serve(world: World) -> ThreadingHTTPServer:
    """Answer on the bridge, in threads, until it is shut down."""
    tokens: dict[str, tuple[str, float]] = {}
    handler = type("Handler", (_Handler,), {"world": world, "tokens": tokens})
    server = ThreadingHTTPServer((world.ranges.gateway, METADATA_PORT), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), name="metadata", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    world: World
    tokens: dict[str, tuple[str, float]]
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"

    def log_message(self, *_: Any) -> None:
        return

    def _answer(self, code: int, body: str | bytes = b"", headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _caller(self) -> Box | None:
        box = self.world.by_address.get(self.client_address[0])
        return box if box and box.instance.metadata_options.http_endpoint != "disabled" else None

    def do_PUT(self) -> None:
        box, life = self._caller(), self.headers.get(TOKEN_LIFE, "")
        if box is None or self.headers.get("X-Forwarded-For"):
            return self._answer(403)
        if self.path != "/latest/api/token":
            return self._answer(404)
        if not life.isdigit() or not 1 <= int(life) <= 21600:
            return self._answer(400)
        # The hop limit is the answer's time to live: a container inside the instance is one hop further.
        hops = int(box.instance.metadata_options.http_put_response_hop_limit or 1)
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        token = secrets.token_urlsafe(40)
        self.tokens[token] = (box.id, time.monotonic() + int(life))
        return self._answer(200, token, {TOKEN_LIFE: life})

    def do_GET(self) -> None:
        box = self._caller()
        if box is None:
            return self._answer(403)
        if not self._allowed(box):
            return self._answer(401)
        parts = [part for part in urllib.parse.unquote(self.path).split("/") if part]
        if not parts:
            return self._answer(200, "latest\n2021-03-23\n2009-04-04")
        found = _find(_tree(box), parts[1:])
        return self._answer(404) if found is None else self._answer(200, found)

    def _allowed(self, box: Box) -> bool:
        token = self.headers.get(TOKEN)
        if token is None:
            return bool(box.instance.metadata_options.http_tokens != "required")
        owner, until = self.tokens.get(token, ("", 0.0))
        return owner == box.id and until > time.monotonic()


def _find(tree: Any, parts: list[str]) -> str | bytes | None:
    node = tree
    for part in parts:
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    if isinstance(node, Callable):  # type: ignore[arg-type]
        node = node()
    if isinstance(node, dict):
        node = node.get("", "\n".join(key + ("/" if isinstance(value, dict) else "") for key, value in node.items()))
    return node if isinstance(node, bytes) else str(node)


def _tree(box: Box) -> dict[str, Any]:
    document = json.dumps(_document(box), indent=2)
    tree: dict[str, Any] = {"meta-data": _metadata(box), "dynamic": {"instance-identity": {"document": document}}}
    data = user_data(box)
    if data:
        tree["user-data"] = data
    return tree


def user_data(box: Box) -> bytes:
    kept = box.instance.user_data
    return base64.b64decode(getattr(kept, "_encoded_string", kept)) if kept else b""


def _document(box: Box) -> dict[str, Any]:
    instance = box.instance
    return {
        "accountId": instance.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.placement.zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "pendingTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "privateIp": box.private,
        "region": box.backend.region_name,
        "version": "2017-09-30",
    }


def _metadata(box: Box) -> dict[str, Any]:
    instance, nic = box.instance, box.instance.nics[0]
    data: dict[str, Any] = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "block-device-mapping": {"ami": instance.root_device_name, "root": instance.root_device_name},
        "hostname": instance.private_dns_name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "spot" if instance.lifecycle == "spot" else "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": box.private,
        "mac": nic.mac_address,
        "network": {"interfaces": {"macs": {nic.mac_address: _interface(box)}}},
        "placement": {"availability-zone": instance.placement.zone, "region": box.backend.region_name},
        "reservation-id": "r-lab",
        "security-groups": "\n".join(group.name for group in nic.group_set),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    data.update(_optional(box))
    return data


def _interface(box: Box) -> dict[str, str]:
    nic = box.instance.nics[0]
    return {
        "device-number": "0",
        "interface-id": nic.id,
        "local-ipv4s": box.private,
        "mac": nic.mac_address,
        "subnet-id": box.instance.subnet_id,
        "subnet-ipv4-cidr-block": nic.subnet.cidr_block,
        "vpc-id": box.instance.vpc_id,
    }


def _optional(box: Box) -> dict[str, Any]:
    instance = box.instance
    data: dict[str, Any] = {}
    if box.public:
        data |= {"public-ipv4": box.public, "public-hostname": instance.public_dns_name}
    pair = box.backend.key_pairs.get(instance.key_name) if instance.key_name else None
    if pair is not None:
        data["public-keys"] = {"": f"0={instance.key_name}", "0": {"openssh-key": pair.public_key}}
    if instance.metadata_options.instance_metadata_tags == "enabled":
        data["tags"] = {"instance": {tag["key"]: tag["value"] for tag in instance.get_tags()}}
    if box.spot_action:
        action = json.dumps(box.spot_action)
        data["spot"] = {"instance-action": action, "termination-time": box.spot_action["time"]}
    association = box.backend.iam_instance_profile_associations.get(box.id)
    if association:
        profile = association.iam_instance_profile
        roles = {role.name: lambda role=role: _credentials(box, role) for role in profile.roles}
        info = json.dumps({"Code": "Success", "InstanceProfileArn": profile.arn})
        data["iam"] = {"info": info, "security-credentials": roles}
    return data


def _credentials(box: Box, role: Any) -> str:
    """Credentials of a role that moto knows, so that its own checks apply to them."""
    from moto.sts.models import sts_backends

    if not box.credentials:
        assumed = sts_backends[box.instance.owner_id]["global"].assume_role(
            region_name=box.backend.region_name,
            role_session_name=box.id,
            role_arn=role.arn,
            policy="",
            duration=21600,
            external_id="",
        )
        form = "%Y-%m-%dT%H:%M:%SZ"
        facts = {
            "Code": "Success",
            "LastUpdated": time.strftime(form),
            "Type": "AWS-HMAC",
            "AccessKeyId": assumed.access_key_id,
            "SecretAccessKey": assumed.secret_access_key,
            "Token": assumed.session_token,
            "Expiration": time.strftime(form, time.gmtime(time.time() + 21600)),
        }
        box.credentials = json.dumps(facts, indent=1)
    return box.credentials
