"""The parts of the provider that need no cloud: tags, user data, types, errors, the program for sessions."""

from __future__ import annotations

import email
import gzip
import os
import stat
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.config.schema import Workstation
from dsenv.errors import ConfigError, ProviderError, StateError
from dsenv.models.machine import Identity, Limits, Needs
from dsenv.providers.aws import choice, cloud, network, prices, quotas, saved, session, tags, userdata
from dsenv.providers.aws.errors import AwsError, translated
from dsenv.providers.aws.saved import Layout, Saved
from dsenv.providers.aws.tags import Tags
from dsenv.providers.size import Size

_LIMITS = Limits(1800, 86400)


def _tags(root: str = "/home/me/churn") -> Tags:
    return Tags(Identity(Path(root), "churn", "big"), "1:role/me@example.invalid", 5, user="admin", limits=_LIMITS)


def _as_described(made: Tags) -> dict[str, object]:
    return {"Tags": [{"Key": key, "Value": value} for key, value in made.items().items()]}


@given(st.binary(min_size=1, max_size=900))
def test_a_workstation_is_known_by_its_tags(path: bytes) -> None:
    made = _tags("/" + os.fsdecode(path.replace(b"\0", b"x")))
    assert Tags.read(_as_described(made)) == made
    assert all(len(value) <= 256 for value in made.items().values())
    assert len(made.items()) <= 50


def test_tags_of_others_are_not_ours() -> None:
    assert Tags.read({"Tags": [{"Key": "Name", "Value": "x"}]}) is None
    assert Tags.read({"Tags": [{"Key": tags.ID, "Value": "x"}]}) is None
    described = _as_described(_tags())
    moved = [{**tag, "Value": "/elsewhere"} if tag["Key"] == "dsenv:root-0" else tag for tag in described["Tags"]]  # type: ignore[attr-defined]
    assert Tags.read({"Tags": moved}) is None


def _boot(**changes: object) -> userdata.Boot:
    fields = {
        "user": "admin",
        "client_key": "ssh-ed25519 AAAAclient",
        "host_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nxyz\n-----END OPENSSH PRIVATE KEY-----\n",
        "host_key_public": "ssh-ed25519 AAAAhost",
        "limits": _LIMITS,
        **changes,
    }
    return userdata.Boot(**fields)  # type: ignore[arg-type]


def test_user_data_is_small_and_the_same_for_the_same_wish() -> None:
    boot = _boot(packages=tuple(f"some-package-{number}" for number in range(40)))
    data = userdata.build(boot)
    assert data == userdata.build(boot)
    assert len(data) < userdata.MAX_BYTES
    parts = email.message_from_bytes(gzip.decompress(data)).get_payload()
    assert isinstance(parts, list)
    assert [part.get_content_type() for part in parts] == ["text/cloud-boothook", "text/cloud-config"]  # type: ignore[union-attr]


def test_user_data_that_does_not_fit_is_refused_before_aws_does() -> None:
    names = tuple(f"p{number:x}" for number in range(0x10000000, 0x10000000 + 7919 * 4000, 7919))
    with pytest.raises(ProviderError, match="more than EC2 takes"):
        userdata.build(_boot(packages=names))


def test_the_hook_sets_the_timers_before_all_else_and_does_no_harm_twice(tmp_path: Path) -> None:
    """It really runs, with another root: its absolute paths are moved there."""
    script = userdata.hook(_boot(user="nobody-here"))
    assert script.index("dsenv-life.timer") < script.index("ssh_host_ed25519_key")
    for folder in ("/etc/", "/usr/local/", "/var/lib/dsenv", "/run/systemd/"):
        script = script.replace(folder, f"{tmp_path}{folder}")
    script = script.replace(f"setsid {tmp_path}", "true ")
    (tmp_path / "etc/ssh").mkdir(parents=True)
    for _ in range(2):
        done = subprocess.run(["sh", "-eu"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    key = tmp_path / "etc/ssh/ssh_host_ed25519_key"
    assert key.read_text() == _boot().host_key
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / "etc/systemd/system/dsenv-life.timer").is_file()
    key.write_text("rotated\n")
    limits = tmp_path / "etc/dsenv/limits.json"
    limits.write_text("changed since\n")
    subprocess.run(["sh", "-eu"], input=script, text=True, check=True)
    assert key.read_text() == "rotated\n"
    assert limits.read_text() == "changed since\n"
    other = script.replace("AAAAhost", "AAAAother")
    subprocess.run(["sh", "-eu"], input=other, text=True, check=True)
    assert key.read_text() == _boot().host_key


@pytest.mark.parametrize("name", ["tree; reboot", "$(id)", "-y", "", "a b", "a\nb", "Tree"])
def test_names_of_packages_are_words(name: str) -> None:
    with pytest.raises(ConfigError):
        userdata.checked([name])
    assert userdata.checked(["g++", "libgomp1", "libc6:i386", "r-base=4.2.2-1"])


@pytest.mark.parametrize("code, state", [(0, "done"), (100, "failed")])
def test_what_came_of_the_packages_is_written_down(tmp_path: Path, code: int, state: str) -> None:
    from dsenv import resources

    script = (resources.templates() / "aws" / "packages.sh").read_text(encoding="utf-8")
    script = script.replace("/var/", f"{tmp_path}/var/").replace("/run/systemd/system", "/nonexistent")
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    apt = tmp_path / "bin" / "apt-get"
    apt.write_text(f'#!/bin/sh\ncase "$*" in *update*) exit 0;; *) echo "$@"; exit {code};; esac\n')
    apt.chmod(0o755)
    path = f"{apt.parent}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", script, "sh", "tree", "g++"], env={"PATH": path}, check=False)
    assert done.returncode == code
    written = (tmp_path / "var/lib/dsenv/packages.status").read_text()
    assert written == f'{{"state": "{state}", "code": {code}, "packages": ["tree", "g++"]}}\n'
    assert "install tree g++" in (tmp_path / "var/log/dsenv-packages.log").read_text()


def _type(name: str, maker: str = "Intel", architecture: str = "x86_64") -> choice.Type:
    return choice.Type(name, 8, 32, 0, (architecture,), maker)


@pytest.mark.parametrize(
    "kind, has, lacks",
    [
        (_type("m4.xlarge"), "avx2", "avx512f"),
        (_type("m5.2xlarge"), "avx512f", "avx512_vnni"),
        (_type("m6i.2xlarge"), "avx512_vnni", "amx_tile"),
        (_type("c7i.large"), "amx_tile", "sve"),
        (_type("m6a.large", "AMD"), "avx2", "avx512f"),
        (_type("m7a.large", "AMD"), "avx512f", "amx_tile"),
        (_type("t3.large"), "avx2", "avx512f"),
        (_type("m6g.large", "AWS", "arm64"), "asimddp", "sve"),
        (_type("c7g.large", "AWS", "arm64"), "sve", "avx2"),
    ],
)
def test_what_processors_have_is_known_by_the_type(kind: choice.Type, has: str, lacks: str) -> None:
    assert has in kind.features
    assert lacks not in kind.features
    wanted = Size(2, 8)
    assert choice._serves(kind, wanted, Needs(cpu_features=frozenset({has, "not_decidable"})))
    assert not choice._serves(kind, wanted, Needs(cpu_features=frozenset({lacks})))


def test_lent_processors_serve_small_wishes_only() -> None:
    assert choice._serves(_type("t3.2xlarge"), Size(2, 8), Needs())
    assert not choice._serves(_type("t3.2xlarge"), Size(8, 8), Needs())


def test_what_is_remembered(tmp_path: Path) -> None:
    settings = Workstation(provider="aws", jump_host="bastion", ingress=["10.0.0.0/8"])
    assert saved.access(settings) == "private"
    assert saved.limits(settings) == _LIMITS
    made = Saved.new(_tags(str(tmp_path)), settings, "eu-west-1").write()
    layout = Layout.of(made.identity)
    assert Saved.read(layout) == made
    assert Saved.all() == [made]
    assert stat.S_IMODE(layout.state_file.stat().st_mode) == 0o600
    assert made.but(attempt=2).again().attempt == 2
    layout.state_file.write_text('{"version": 1, "root": 5}')
    with pytest.raises(StateError, match="damaged"):
        Saved.read(layout)
    layout.remove()
    layout.remove()
    assert Saved.read(layout) is None


def test_nothing_is_asked_where_aws_is_not_used() -> None:
    from dsenv.providers.aws.provider import AwsProvider

    assert not cloud.may_have_credentials()
    assert AwsProvider().machines() == []
    assert AwsProvider().find(_tags().identity) is None
    loaded = "import sys, dsenv.providers.aws.provider; print('boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "203.0.113.7", "2001:db8::/32"])
def test_networks_are_read(text: str) -> None:
    assert network._network(text).startswith(text)
    assert network._permission(network._network(text))["FromPort"] == 22


def test_products_without_a_price_cost_nothing_known() -> None:
    dimension = {"priceDimensions": {"a": {"pricePerUnit": {"USD": "0.0832"}}}}
    assert prices._on_demand({"terms": {"OnDemand": {"x": dimension}}}) == 0.0832
    assert prices._on_demand('{"terms": {}}') == 0.0


def test_foreign_errors_become_ours() -> None:
    from botocore import exceptions as theirs
    from botocore.parsers import ResponseParserError

    there, past = formatdate(usegmt=True), formatdate(time.time() - 3600, usegmt=True)
    url = "https://x.invalid"
    cases = [
        (theirs.NoCredentialsError(), "no AWS credentials", "aws configure --profile work"),
        (theirs.NoRegionError(), "no AWS region", "region"),
        (theirs.ProfileNotFound(profile="p"), "p", "list-profiles"),
        (theirs.EndpointConnectionError(endpoint_url=url), "cannot be reached", "network"),
        (theirs.ConnectTimeoutError(endpoint_url=url), "cannot be reached", "network"),
        (theirs.ReadTimeoutError(endpoint_url=url), "does not answer", "network"),
        (theirs.ProxyConnectionError(proxy_url=url), "proxy", "HTTPS_PROXY"),
        (theirs.SSLError(endpoint_url=url, error=OSError("x")), "certificate", "AWS_CA_BUNDLE"),
        (theirs.UnauthorizedSSOTokenError(), "login has expired", "aws sso login --profile work"),
        (theirs.CredentialRetrievalError(provider="custom-process", error_msg=""), "custom-process", "aws configure"),
        (theirs.ConfigParseError(path="/x/config"), "/x/config", "aws configure list"),
        (theirs.InvalidRegionError(region_name="a b"), "a b", "region"),
        (theirs.InfiniteLoopConfigError(source_profile="a", visited_profiles=["a"]), "loop", "aws configure list"),
        (ResponseParserError("<html>"), "is not AWS", "AWS_ENDPOINT_URL"),
        (ValueError("Invalid endpoint: x"), "Invalid endpoint", "aws configure list"),
        (
            _refusal("UnauthorizedOperation", "not authorized to perform: ec2:RunInstances"),
            "ec2:RunInstances",
            "dsenv doctor --policy aws",
        ),
        (_refusal("SomethingNew", "because"), "because", ""),
        (_refusal("RequestExpired", "Request has expired.", there), "credentials have expired", "aws sso login"),
        (_refusal("RequestExpired", "Request has expired.", past), "time of this machine", "set the clock"),
        (_refusal("SignatureDoesNotMatch", "Signature expired", past), "time of this machine", "set the clock"),
        (_refusal("AuthFailure", "not able to validate", there), "does not accept the credentials", "caller-identity"),
        (_refusal("AuthFailure", "not able to validate", past), "time of this machine", "set the clock"),
        (_refusal("AuthFailure", "not able to validate", "no date"), "does not accept the credentials", ""),
    ]
    for error, message, hint in cases:
        with pytest.raises(AwsError) as caught, translated("cannot do it", "eu-west-1", "work"):
            raise error
        assert message in caught.value.message
        assert hint in (caught.value.hint or "")
        assert caught.value.message.startswith("cannot do it: ")
    assert AwsError("", code="InvalidInstanceID.NotFound").absent
    assert not AwsError("", code="DependencyViolation").absent


def _refusal(code: str, words: str, date: str = "") -> Exception:
    from botocore.exceptions import ClientError

    answer: Any = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    return ClientError(answer, "RunInstances")


def test_sessions_need_amazons_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = session.command("i-1", "eu-west-1", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert session.PLUGIN in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "kind, spot, code",
    [
        ("m7i.large", False, "L-1216C47A"),
        ("im4gn.large", True, "L-34B43A08"),
        ("gr6.4xlarge", False, "L-DB2E81BA"),
        ("g5.xlarge", True, "L-3819A6DF"),
        ("p5.48xlarge", False, "L-417A185B"),
        ("x2gd.large", False, "L-7295265B"),
    ],
)
def test_which_quota_counts_a_type(kind: str, spot: bool, code: str) -> None:
    found = quotas.covering(kind, spot=spot)
    assert found is not None
    assert found.code == code
    assert quotas.covering("hpc7a.96xlarge", spot=spot) is None


@pytest.mark.parametrize("name", ["g6f.xlarge", "inf2.xlarge", "trn1.2xlarge", "f1.2xlarge", "vt1.3xlarge"])
def test_accelerators_do_not_serve_plain_wishes(name: str) -> None:
    described = {"InstanceType": name, "VCpuInfo": {"DefaultVCpus": 4}, "MemoryInfo": {"SizeInMiB": 16384}}
    assert not choice._serves(choice.Type.read(described), Size(4, 16), Needs())
    part = {**described, "InstanceType": "m9.xlarge", "GpuInfo": {"Gpus": [{"Count": 0}]}}
    assert not choice._serves(choice.Type.read(part), Size(4, 16), Needs())
    assert choice._serves(choice.Type.read({**described, "InstanceType": "m9.xlarge"}), Size(4, 16), Needs())
