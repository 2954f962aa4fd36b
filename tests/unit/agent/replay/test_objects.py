"""Answers of botocore are given again as they were recorded, to a real client that has no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.replay.objects import Served


@pytest.fixture
def client() -> Any:
    import boto3

    return boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def _answer(folder: Path, name: str, value: dict[str, Any], body: bytes = b"") -> list[str]:
    (folder / name).write_text(json.dumps(value))
    if not body:
        return [str(folder / name), ""]
    (folder / f"{name}.body").write_bytes(body)
    return [str(folder / name), str(folder / f"{name}.body")]


def test_answers_come_in_their_order_and_the_last_one_stays(tmp_path: Path, client: Any) -> None:
    meta = {"HTTPStatusCode": 200}
    first = {"Body": {"$body": True}, "ETag": "1", "ResponseMetadata": meta, "Md5": {"$bytes": "00ff"}}
    second = {"ETag": "2", "LastModified": {"$time": "2026-11-30T10:00:00+00:00"}, "Parts": [{"N": 1}, 2]}
    answers = [_answer(tmp_path, "a", first, b"line\n"), _answer(tmp_path, "b", second)]
    served = Served({"call": answers})
    one = served.answer(client, "s3", "GetObject", "call")
    with one["Body"] as body:
        assert (one["ETag"], one["Md5"], body.read()) == ("1", b"\0\xff", b"line\n")
    for _ in range(2):
        again = served.answer(client, "s3", "GetObject", "call")
        assert (again["ETag"], again["Parts"]) == ("2", [{"N": 1}, 2])
        assert again["LastModified"].isoformat() == "2026-11-30T10:00:00+00:00"


def test_a_recorded_error_is_raised_as_the_client_raises_it(tmp_path: Path, client: Any) -> None:
    value = {"Error": {"Code": "NoSuchKey", "Message": "none"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
    served = Served({"call": [_answer(tmp_path, "a", value)]})
    with pytest.raises(client.exceptions.NoSuchKey):
        served.answer(client, "s3", "GetObject", "call")


@pytest.mark.parametrize("service", ["s3", "sqs"])
def test_what_was_not_recorded_fails_as_without_a_network_and_is_told(service: str, client: Any) -> None:
    from botocore.exceptions import EndpointConnectionError

    told: list[str] = []
    served = Served({})
    served.lacking = told.append
    with pytest.raises(EndpointConnectionError):
        served.answer(client, service, "GetObject", "other")
    assert told == [f"{service} GetObject was not recorded: it failed as if there were no network"]
