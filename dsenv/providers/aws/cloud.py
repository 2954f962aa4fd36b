"""Calls to AWS: one region, one profile, limits on time, errors that are ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from dsenv.providers.aws.errors import AwsError, translated

_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 20, 4
_FIRST_ATTEMPTS = 2  # of the call that comes first: what does not answer is told soon
_PRICING_REGION = "us-east-1"  # the price list of all regions is there
_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_MAKER = "/sys/devices/virtual/dmi/id/sys_vendor"


def may_have_credentials() -> bool:
    """Whether it is worth to ask AWS at all. Reads no secret and loads nothing."""
    if any(os.environ.get(name) for name in _VARIABLES):
        return True
    folder = Path.home() / ".aws"
    files = [Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials")]
    files.append(Path(os.environ.get("AWS_CONFIG_FILE") or folder / "config"))
    if any(file.expanduser().is_file() for file in files):
        return True
    try:
        return "Amazon EC2" in Path(_MAKER).read_text()
    except OSError:
        return False


class Cloud:
    """One account in one region. May be used by several threads."""

    def __init__(self, region: str = "", profile: str = "", like: Cloud | None = None) -> None:
        """Empty means what the user's configuration says. `like`: another one of the same profile, whose knowledge
        of AWS's services is shared; it takes long to load.

        Raises ProviderError for an unknown profile, and when no region is set.
        """
        self.profile = profile
        with translated("cannot use AWS", region or "the configured region", profile):
            import boto3

            self._session: boto3.session.Session = (
                like._session if like else boto3.session.Session(profile_name=profile or None)
            )
        self.region: str = region or os.environ.get("AWS_REGION") or self._session.region_name or ""
        if not self.region:
            raise AwsError("no AWS region is set", code="NoRegion", hint='set region = "eu-west-1" in dsenv.toml')
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    def call(self, service: str, operation: str, doing: str, **parameters: Any) -> dict[str, Any]:
        """One call, repeated by botocore while AWS throttles or the network fails. Raises AwsError."""
        with translated(doing, self.region, self.profile):
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
            return answer

    def ec2(self, operation: str, doing: str, **parameters: Any) -> dict[str, Any]:
        return self.call("ec2", operation, doing, **parameters)

    def pages(self, operation: str, key: str, doing: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The items under `key` of all pages of an EC2 call. Raises AwsError."""
        with translated(doing, self.region, self.profile):
            paginator = self._client("ec2").get_paginator(operation)
            for page in paginator.paginate(**parameters):
                yield from page.get(key, [])

    def endpoint(self, service: str) -> str:
        """The address of a service's API."""
        return str(self._client(service).meta.endpoint_url)

    def console(self, instance: str) -> str:
        """Where a person can look at the instance."""
        return f"https://{self.region}.console.aws.amazon.com/ec2/home?region={self.region}#InstanceDetails:instanceId={instance}"

    @cached_property
    def owner(self) -> str:
        """Whose credentials these are: the user, or the role with the session that a person logged in to.

        Names of sessions that programs make up anew each time are left out. Raises AwsError.
        """
        arn = str(self.call("sts", "get_caller_identity", "cannot log in to AWS")["Arn"])
        account, _, who = arn.split(":", 4)[4].partition(":")
        kind, *names = who.split("/")
        if kind == "assumed-role" and (
            len(names) < 2 or names[1].startswith(("botocore-session-", "i-", "aws-go-sdk-"))
        ):
            names = names[:1]
        return ":".join([account, *names])

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        with self._making:  # making clients is not safe in threads, using them is
            if service not in self._clients:
                settings = Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={
                        "mode": "standard",
                        "total_max_attempts": _FIRST_ATTEMPTS if service == "sts" else _ATTEMPTS,
                    },
                    user_agent_extra="dsenv",
                    max_pool_connections=16,
                )
                region = _PRICING_REGION if service == "pricing" else self.region
                make: Any = self._session.client
                self._clients[service] = make(service, region_name=region, config=settings)
            return self._clients[service]
