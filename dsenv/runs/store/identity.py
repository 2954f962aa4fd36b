"""Who asks a bucket, and where it is: as boto3 finds it, and without loading it where that is plain.

Loading boto3 and making a client takes longer than listing a month. Keys in the environment or in the shared files are
read here; whatever else boto3 knows (SSO, roles, web identities, processes, machines) it is asked for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dsenv.agent.store import credentials as aws
from dsenv.agent.store.bucket import Way
from dsenv.agent.store.sigv4 import Credentials
from dsenv.errors import StoreError

# Settings of a profile that say nothing about where a bucket is; any other may.
_WHO = frozenset({"output", "region", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_WHO |= {"role_arn", "source_profile", "credential_source", "external_id", "mfa_serial", "role_session_name"}
_WHO |= {"duration_seconds", "web_identity_token_file", "credential_process", "sso_session", "sso_account_id"}
_WHO |= {"sso_role_name", "sso_start_url", "sso_region", "login_session", "cli_pager", "cli_auto_prompt"}
# Of those, what boto3 looks at before it takes the keys of a profile.
_BEFORE_KEYS = frozenset({"role_arn", "web_identity_token_file", "credential_process", "login_session"})
_BEFORE_KEYS |= {"sso_session", "sso_account_id", "sso_role_name", "sso_start_url"}
_ODD = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
_HINT = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; renew a login with: aws sso login"
_PARTITIONS = ("us-iso", "eu-iso", "eusc-")  # their hosts have other names
_GOOD_SECONDS = 900.0  # what boto3 gives is good for longer; it renews it when it is asked again


def keys(url: str, environ: Mapping[str, str]) -> aws.Keys:
    """The credentials of the caller, found at the first need. Its source raises StoreError, which names `url`."""
    resolved = _Resolved(url)
    return aws.Keys(lambda: _plain(environ) or resolved())


def way(environ: Mapping[str, str]) -> Way:
    """How the service is reached. Raises StoreError."""
    profile = _profile(environ)
    known = profile is not None and not profile.keys() - _WHO and not any(environ.get(name) for name in _ODD)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or (profile or {}).get("region", "")
    if not known or region.startswith(_PARTITIONS):
        return _resolved_way(environ, region)
    endpoint = aws.given_endpoint(environ)
    authorities = None if endpoint.startswith("http://") else _authorities(environ, environ.get("AWS_CA_BUNDLE"))
    return Way(region or "us-east-1", endpoint, authorities)


def _plain(environ: Mapping[str, str]) -> Credentials | None:
    """Keys that stand in the environment or in a file, where boto3 would take them too."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key or secret:
        token = environ.get("AWS_SESSION_TOKEN", "")
        return Credentials(key, secret, token) if key and secret and not environ.get("AWS_SECURITY_TOKEN") else None
    profile = _profile(environ) or {}
    if profile.keys() & _BEFORE_KEYS or environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    key, secret = profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")
    return Credentials(key, secret, profile.get("aws_session_token", "")) if key and secret else None


def _profile(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The settings of the chosen profile; None for one that was named and is not found by this simple reading."""
    chosen = environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE")
    seen = {name: value for name, value in environ.items() if name != "HOME" or sys.platform != "win32"}
    seen |= {"AWS_PROFILE": chosen} if chosen else {}
    found = aws.profile(seen, "AWS_CONFIG_FILE", "config")
    found |= aws.profile(seen, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    return found if found or not chosen else None


class _Resolved:
    """The credentials that botocore finds, which it renews. It is asked once: looking at a network takes seconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._asked = False
        self._found: Any = None

    def __call__(self) -> Credentials:
        with _translated():
            if not self._asked:
                import botocore.session

                self._found = botocore.session.get_session().get_credentials()
                self._asked = True
            if self._found is None:
                raise StoreError(f"no credentials for {self._url}", hint=_HINT)
            frozen = self._found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "", time.time() + _GOOD_SECONDS)


def _resolved_way(environ: Mapping[str, str], region: str) -> Way:
    """What botocore makes of settings that are not plain."""
    with _translated():
        import botocore.session

        session = botocore.session.get_session()
        client: Any = session.create_client("s3", region_name=region or None)
        authorities = _authorities(environ, session.get_config_variable("ca_bundle"))
    found = client.meta.region_name
    return Way("us-east-1" if found in {None, "aws-global"} else found, client.meta.endpoint_url, authorities)


def _authorities(environ: Mapping[str, str], given: str | None) -> str | None:
    """The file of certificates that boto3 trusts."""
    if given or environ.get("REQUESTS_CA_BUNDLE"):
        return given or environ["REQUESTS_CA_BUNDLE"]
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

    try:
        yield
    except ProfileNotFound as error:
        raise StoreError(f"{error}", hint="list the profiles: aws configure list-profiles") from error
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"cannot get AWS credentials: {error}", hint=_HINT) from error
