"""Whose keys a bucket is read with and where it is: what boto3 would say, mostly without asking it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.store.sigv4 import Credentials
from dsenv.errors import StoreError
from dsenv.runs.store import identity, open_store

KEYS = "aws_access_key_id = {0}\naws_secret_access_key = {0}-secret\n"

ENVIRON = {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "e-secret"}
BOTH = {"AWS_PROFILE": "q", "AWS_DEFAULT_PROFILE": "p"}


@pytest.fixture
def aws(isolation: Path) -> Path:
    """The folder of the shared files, empty."""
    folder = isolation / ".aws"
    folder.mkdir()
    return folder


def found() -> tuple[str, str, str]:
    """Access key, secret and token by our own reading, or by botocore where that is not plain."""
    return identity.keys("s3://acme", dict(os.environ)).current()[:3]


def by_boto3() -> tuple[str, str, str]:
    import boto3

    credentials: Any = boto3.session.Session().get_credentials()
    frozen = credentials.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token or ""


def plain() -> Credentials | None:
    return identity._plain(dict(os.environ))


@pytest.mark.parametrize(
    ("environ", "credentials", "config", "expected", "by_us"),
    [
        (ENVIRON, "[default]\n" + KEYS.format("d"), "", "e", True),
        ({}, "[default]\n" + KEYS.format("d"), "[default]\n" + KEYS.format("c"), "d", True),
        ({}, "", "[default]\nregion = x\n" + KEYS.format("c"), "c", True),
        ({"AWS_PROFILE": "p"}, "", "[profile p]\n" + KEYS.format("c"), "c", True),
        ({"AWS_PROFILE": "p"}, "[p]\n" + KEYS.format("d"), "[profile p]\nregion = x\n", "d", True),
        (BOTH, f"[p]\n{KEYS.format('p')}[q]\n{KEYS.format('q')}", "", "p", True),
        ({"AWS_PROFILE": "p q"}, "", '[profile "p q"]\n' + KEYS.format("c"), "c", False),
        ({}, "", "[default]\ncredential_process = PROCESS\n", "made", False),
        ({}, "[default]\n" + KEYS.format("d"), "[default]\ncredential_process = PROCESS\n", "d", False),
    ],
)  # fmt: skip
def test_keys_are_those_of_boto3(
    aws: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    credentials: str,
    config: str,
    expected: str,
    by_us: bool,
) -> None:
    made = {"Version": 1, "AccessKeyId": "made", "SecretAccessKey": "made-secret"}
    program = aws / "process.py"
    program.write_text(f"print({json.dumps(json.dumps(made))})")
    (aws / "credentials").write_text(credentials)
    (aws / "config").write_text(config.replace("PROCESS", f"{sys.executable} {program}"))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert found() == by_boto3() == (expected, f"{expected}-secret", "")
    assert (plain() is not None) == by_us


def test_who_has_to_log_in_is_told(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sso = "[profile p]\nsso_start_url = https://sso.example.invalid\nsso_region = eu-west-1\n"
    (aws / "config").write_text(sso + "sso_account_id = 1\nsso_role_name = r\n" + KEYS.format("c"))
    monkeypatch.setenv("AWS_PROFILE", "p")
    with pytest.raises(StoreError, match="SSO") as caught:
        found()
    assert caught.value.hint and "aws sso login" in caught.value.hint
    assert identity.way(dict(os.environ)).region == "us-east-1", "what says who says nothing about where"
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(StoreError, match="absent"):
        found()
    monkeypatch.delenv("AWS_PROFILE")
    with pytest.raises(StoreError, match="no credentials for s3://acme"):
        found()


@pytest.mark.parametrize(
    ("environ", "config", "region", "endpoint"),
    [
        ({}, "", "us-east-1", ""),
        ({}, "[default]\nregion = eu-west-1\n", "eu-west-1", ""),
        ({"AWS_DEFAULT_REGION": "eu-north-1"}, "[default]\nregion = eu-west-1\n", "eu-north-1", ""),
        ({"AWS_ENDPOINT_URL": "https://a.example.invalid"}, "", "us-east-1", "https://a.example.invalid"),
        ({}, "[default]\nendpoint_url = https://b.example.invalid\n", "us-east-1", "https://b.example.invalid"),
        ({}, "[default]\nregion = eu-west-1\nuse_fips_endpoint = true\n", "eu-west-1", "https://s3-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "[default]\nregion = eu-west-1\n", "eu-west-1", "https://s3.dualstack.eu-west-1.amazonaws.com"),
        ({"AWS_REGION": "us-iso-east-1"}, "", "us-iso-east-1", "https://s3.us-iso-east-1.c2s.ic.gov"),
    ],
)  # fmt: skip
def test_where_the_service_is(
    aws: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], config: str, region: str, endpoint: str
) -> None:
    (aws / "config").write_text(config)
    (aws / "credentials").write_text("[default]\n" + KEYS.format("d"))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    way = identity.way(dict(os.environ))
    assert (way.region, way.endpoint) == (region, endpoint)


def test_an_endpoint_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(StoreError, match="localhost:9000 is not an address") as caught:
        open_store("s3://acme/x").size("runs/x")
    assert caught.value.hint == "check AWS_ENDPOINT_URL"


def test_certificates_that_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi

    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    assert identity.way(dict(os.environ)).authorities == certifi.where()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/a.pem")
    assert identity.way(dict(os.environ)).authorities == "/a.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE", "/b.pem")
    assert identity.way(dict(os.environ)).authorities == "/b.pem"


def test_keys_that_stand_there_need_no_boto3(aws: Path) -> None:
    (aws / "credentials").write_text("[default]\n" + KEYS.format("d"))
    code = (
        "import os, sys\nfrom dsenv.runs.store import identity, open_store\n"
        "open_store('s3://acme/x')._bucket\n"
        "assert identity.keys('s3://acme', dict(os.environ)).current()[0] == 'd'\n"
        "print(sorted(name for name in sys.modules if name.startswith('boto')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
