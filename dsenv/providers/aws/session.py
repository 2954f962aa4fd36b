"""The way to port 22 through SSM Session Manager: `python -m dsenv.providers.aws.session REGION PROFILE INSTANCE`.

Its standard input and output are the connection. The session itself is the work of AWS's own program,
`session-manager-plugin`, which takes the place of this one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from dsenv.errors import DsenvError, ProviderError

PLUGIN = "session-manager-plugin"
_DOCUMENT = "AWS-StartSSHSession"


def command(instance: str, region: str, profile: str) -> tuple[str, ...]:
    """The words that start this program for an instance."""
    return (sys.executable, "-P", "-m", "dsenv.providers.aws.session", region, profile or "-", instance)


def start(region: str, profile: str, instance: str) -> list[str]:
    """Open a session; returns the words that join it. Raises ProviderError."""
    from dsenv.providers.aws.cloud import Cloud

    plugin = shutil.which(PLUGIN)
    if plugin is None:
        raise ProviderError(
            f"{PLUGIN} is not installed, which access through Session Manager needs",
            hint="install it as AWS describes under 'Install the Session Manager plugin'",
        )
    cloud = Cloud(region, profile)
    request = {"Target": instance, "DocumentName": _DOCUMENT, "Parameters": {"portNumber": ["22"]}}
    doing = f"cannot open a session to {instance} (does it run the SSM agent, with a role that lets it?)"
    answer = cloud.call("ssm", "start_session", doing, **request)
    session = {name: answer[name] for name in ("SessionId", "StreamUrl", "TokenValue")}
    words = [json.dumps(session), region, "StartSession", profile, json.dumps(request)]
    return [plugin, *words, cloud.endpoint("ssm")]


def main(arguments: Sequence[str]) -> int:
    """The program. Errors are one line on standard error."""
    region, profile, instance = arguments
    try:
        words = start(region, "" if profile == "-" else profile, instance)
    except DsenvError as error:
        print(f"dsenv: {error.message}{' - ' + error.hint if error.hint else ''}", file=sys.stderr)  # noqa: T201
        return 1
    if sys.platform == "win32":
        return subprocess.call(words)
    return os.execv(words[0], words)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
