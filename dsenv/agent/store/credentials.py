"""Where AWS credentials come from, in the order of the AWS SDKs: environment, shared files, container, instance."""

from __future__ import annotations

import calendar
import configparser
import http.client
import json
import os
import threading
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from dsenv.agent.store.base import StoreWriteError
from dsenv.agent.store.sigv4 import Credentials

_CONTAINER = "http://169.254.170.2"
_INSTANCE = "http://169.254.169.254"
_TIMEOUT = 2.0
_EXPIRY_MARGIN = 300.0
_TRUSTED_HOSTS = ("127.0.0.1", "localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")


def find(environ: Mapping[str, str]) -> Credentials:
    """The first credentials that there are. Raises StoreWriteError when there are none."""
    for source in (_from_environment, _from_files, _from_container, _from_instance):
        found = source(environ)
        if found is not None:
            return found
    raise StoreWriteError("there are no AWS credentials: not in the environment, ~/.aws, the container or the instance")


def region(environ: Mapping[str, str]) -> str:
    """The region to sign for."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if environ.get(name):
            return environ[name]
    return profile(environ, "AWS_CONFIG_FILE", "config").get("region", "us-east-1")


def _from_environment(environ: Mapping[str, str]) -> Optional[Credentials]:
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def _from_files(environ: Mapping[str, str]) -> Optional[Credentials]:
    for variable, name in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        values = profile(environ, variable, name)
        if values.get("aws_access_key_id") and values.get("aws_secret_access_key"):
            token = values.get("aws_session_token", "")
            return Credentials(values["aws_access_key_id"], values["aws_secret_access_key"], token)
    return None


def profile(environ: Mapping[str, str], variable: str, name: str) -> Dict[str, str]:
    """The section of the chosen profile in one of the shared files; empty when there is none."""
    path = environ.get(variable) or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".aws", name)
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, ValueError):
        return {}
    chosen = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    for section in (chosen, "profile " + chosen):
        if parser.has_section(section):
            return dict(parser.items(section))
    return {}


def _from_container(environ: Mapping[str, str]) -> Optional[Credentials]:
    relative, full = (
        environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    )
    if not relative and not full:
        return None
    url = _CONTAINER + relative if relative else full or ""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _TRUSTED_HOSTS:
        raise StoreWriteError(
            "the container's credentials are at {}, which is not a local address".format(parts.hostname)
        )
    headers = {}
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if file:
        try:
            with open(file, encoding="utf-8") as content:
                token = content.read().strip()
        except OSError as error:
            raise StoreWriteError("cannot read {}: {}".format(file, error.strerror)) from error
    if token:
        headers["Authorization"] = token
    return _parse(_ask(url, "GET", headers))


def _from_instance(environ: Mapping[str, str]) -> Optional[Credentials]:
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    base = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _INSTANCE).rstrip("/")
    try:
        token = _ask(base + "/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        headers = {"X-aws-ec2-metadata-token": token.decode("ascii", "replace")}
        path = base + "/latest/meta-data/iam/security-credentials/"
        role = _ask(path, "GET", headers).decode("utf-8", "replace").split("\n")[0].strip()
        return _parse(_ask(path + role, "GET", headers)) if role else None
    except StoreWriteError:
        return None  # not an instance, or one without a role


def _ask(url: str, method: str, headers: Dict[str, str]) -> bytes:
    parts = urlsplit(url)
    connection: Any = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = connection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        link.request(method, parts.path + ("?" + parts.query if parts.query else ""), headers=headers)
        answer = link.getresponse()
        data: bytes = answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise StoreWriteError("cannot get credentials from {}: {}".format(parts.netloc, error)) from error
    finally:
        link.close()
    if answer.status != 200:
        raise StoreWriteError("{} refuses credentials: {}".format(parts.netloc, answer.status))
    return data


def _parse(data: bytes) -> Credentials:
    try:
        value = json.loads(data)
        expires = calendar.timegm(time.strptime(str(value.get("Expiration", ""))[:19], "%Y-%m-%dT%H:%M:%S"))
        return Credentials(value["AccessKeyId"], value["SecretAccessKey"], value.get("Token", ""), float(expires))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreWriteError("the credentials that were offered cannot be read") from error


class Keys:
    """Credentials that are good now: looked for at the first need, and again before they expire. Safe for threads."""

    def __init__(self, source: Callable[[], Credentials]) -> None:
        self._source = source
        self._found: Optional[Credentials] = None
        self._lock = threading.Lock()

    def current(self) -> Credentials:
        """Raises what the source does, StoreWriteError for one."""
        with self._lock:
            found = self._found
            if found is None or (found.expires and found.expires - time.time() < _EXPIRY_MARGIN):
                found = self._found = self._source()
            return found

    def forget(self) -> None:
        """Look again at the next need: the service says that they have expired."""
        with self._lock:
            self._found = None


class Place(NamedTuple):
    """Where a bucket is."""

    scheme: str
    host: str
    port: int
    base: str  # what comes before a key's slash in a path

    @property
    def authority(self) -> str:
        """The host as it stands in an address, with the port unless it is the scheme's own."""
        host = "[{}]".format(self.host) if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else "{}:{}".format(host, self.port)


def given_endpoint(environ: Mapping[str, str]) -> str:
    """The address of the service that the environment names; empty for none."""
    return environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""


def place(given: str, bucket: str, where: str) -> Place:
    """Where a bucket is: in a region, or at a given endpoint, with path-style addresses. Raises StoreWriteError."""
    if given:
        try:
            parts = urlsplit(given)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise StoreWriteError("the endpoint {} is not an address: {}".format(given, error)) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StoreWriteError("the endpoint {} is not an address like https://host:port".format(given))
        return Place(
            parts.scheme or "https", parts.hostname or "", port, "{}/{}".format(parts.path.rstrip("/"), bucket)
        )
    suffix = "amazonaws.com.cn" if where.startswith("cn-") else "amazonaws.com"
    if "." in bucket:  # the certificate does not cover names with dots
        return Place("https", "s3.{}.{}".format(where, suffix), 443, "/" + bucket)
    return Place("https", "{}.s3.{}.{}".format(bucket, where, suffix), 443, "")
