"""SSM for instances: which ones the agent has registered, sessions to a port of theirs, and Run Command that runs.

moto has no sessions, and its commands succeed without being run.
"""

from __future__ import annotations

import threading
from typing import Any

from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.tunnels import Tunnels
from tests.lab.cloud.world import Box, World


def apply(world: World) -> None:
    from moto.core.responses import ActionResult
    from moto.ssm.responses import SimpleSystemManagerResponse as Responses

    tunnels = Tunnels()

    def start_session(self: Any) -> Any:
        box = world.boxes.get(self._get_param("Target"))
        if box is None or not _managed(box, self.region):
            raise _problem("TargetNotConnected", f"{self._get_param('Target')} is not connected.")
        document = self._get_param("DocumentName")
        if document not in ("AWS-StartSSHSession", "AWS-StartPortForwardingSession"):
            raise _problem("InvalidDocument", f"Document with name {document} does not exist.")
        parameters = self._get_param("Parameters", {}) or {}
        return ActionResult(tunnels.start(box, int((parameters.get("portNumber") or ["22"])[0])))

    def terminate_session(self: Any) -> Any:
        tunnels.sessions.pop(self._get_param("SessionId"), None)
        return ActionResult({"SessionId": self._get_param("SessionId")})

    def describe_instance_information(self: Any) -> Any:
        filters = self._get_param("Filters", []) or []
        wanted = [value for f in filters if f.get("Key") == "InstanceIds" for value in f["Values"]]
        rows = [
            _information(box)
            for box in list(world.boxes.values())
            if _managed(box, self.region) and (not wanted or box.id in wanted)
        ]
        return ActionResult({"InstanceInformationList": rows})

    for answer in (start_session, terminate_session, describe_instance_information):
        setattr(Responses, answer.__name__, answer)
    _commands(world)


def _managed(box: Box, region: str) -> bool:
    """The agent registers an instance only with credentials of a role that may do so."""
    association = box.backend.iam_instance_profile_associations.get(box.id)
    if box.state != "running" or box.backend.region_name != region or association is None:
        return False
    return any(_may_register(role) for role in association.iam_instance_profile.roles)


def _may_register(role: Any) -> bool:
    attached = any(arn.endswith("/AmazonSSMManagedInstanceCore") for arn in role.managed_policies)
    return attached or any("ssm:UpdateInstanceInformation" in str(text) for text in role.policies.values())


def _information(box: Box) -> dict[str, str]:
    return {
        "InstanceId": box.id,
        "PingStatus": "Online",
        "PlatformType": "Linux",
        "PlatformName": "Debian GNU/Linux",
        "AgentVersion": "3.3.0.0",
        "IPAddress": box.private,
        "ResourceType": "EC2Instance",
    }


def _problem(code: str, message: str) -> Exception:
    from moto.core.exceptions import JsonRESTError

    error: Exception = JsonRESTError(code, message)
    return error


def _commands(world: World) -> None:
    from moto.ssm.models import SimpleSystemManagerBackend

    @replaces(SimpleSystemManagerBackend, "send_command")
    def send_command(before: Any, self: Any, **named: Any) -> Any:
        ids = list(named.get("instance_ids") or ())
        for name in ids:
            if name not in world.boxes or not _managed(world.boxes[name], self.region_name):
                raise _problem("InvalidInstanceId", f"Instances [[{name}]] not in a valid state")
        command = before(self, **named)
        command.status = "InProgress"
        # moto takes no targets to mean every instance.
        command.instance_ids = ids
        command.invocations = [one for one in command.invocations if one["InstanceId"] in ids]
        script = "\n".join((command.parameters or {}).get("commands", ()))
        for invocation in command.invocations:
            invocation.update(Status="InProgress", StatusDetails="InProgress", ResponseCode=-1)
            threading.Thread(target=_run, args=(world, command, invocation, script), daemon=True).start()
        return command


def _run(world: World, command: Any, invocation: dict[str, Any], script: str) -> None:
    code, output = world.containers.run(invocation["InstanceId"], ["/bin/sh", "-c", script])
    status = "Success" if code == 0 else "Failed"
    invocation.update(Status=status, StatusDetails=status, ResponseCode=code, StandardOutputContent=output[:24000])
    command.status = status
