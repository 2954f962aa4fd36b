"""Production writes to S3 with nothing but the standard library; boto3 reads it back here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from dsenv import resources
from dsenv.cli.main import main
from dsenv.errors import StoreError, TransportError
from dsenv.events import Cancel, ignore
from dsenv.runs import keys, restore
from dsenv.runs.index import newest
from dsenv.runs.record import Record
from dsenv.runs.retention import Rules
from dsenv.runs.store import open_store
from dsenv.workflows.prune import prune
from tests.integration.capturing import eventually

STORE = "s3://acme-runs/team/churn"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import boto3

    boto3.session.Session().client("s3").create_bucket(Bucket="acme-runs")
    return STORE


def capture(
    folder: Path, program: str, store: str, *, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Capture with the production file alone, as `python3 -I -S` would run it."""
    agent = folder / "agent.pyz"
    agent.write_bytes(resources.agent_archive())
    project = folder / "app"
    project.mkdir(exist_ok=True)
    (project / "job.py").write_text(program)
    (project / "pyproject.toml").write_text("")
    words = [sys.executable, "-I", "-S", str(agent), "capture", "--store", store, "--", sys.executable, "job.py"]
    return subprocess.run(
        words, cwd=project, capture_output=True, text=True, check=False, env=os.environ | (environ or {}), timeout=120
    )


def test_a_failed_run_comes_home_from_s3(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/rows.txt").write_text("seven")
    done = capture(tmp_path, "print('reading', flush=True)\nint(open('rows.txt').read())\n", bucket)
    assert done.returncode == 1 and done.stdout == "reading\n" and "invalid literal" in done.stderr
    assert main(["runs", "--failed", "--json", "--store", bucket]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["signature"]["type"] == "ValueError"
    assert main(["show", run["id"], "--store", bucket]) == 0
    shown = capsys.readouterr().out
    assert "invalid literal for int() with base 10: 'seven'" in shown and "rows.txt" in shown and "reading" in shown
    (tmp_path / "app/rows.txt").write_text("7")
    assert main(["reproduce", run["id"], "--store", bucket, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "same-failure"


def test_runs_are_listed_newest_first(bucket: str, tmp_path: Path) -> None:
    for number in range(3):
        capture(tmp_path, f"raise ValueError({number})", f"{bucket}/many")
    found = list(newest(open_store(f"{bucket}/many")))
    assert [run.id for run in found] == sorted((run.id for run in found), reverse=True)
    assert len(found) == 3 and all(run.status == "failed" for run in found)


def test_a_bucket_that_is_not_there(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="there is no such bucket"):
        list(newest(open_store("s3://nobody-has-this/x")))
    assert main(["runs", "--store", "s3://nobody-has-this/x"]) == 6
    assert "no such bucket" in capsys.readouterr().err
    done = capture(tmp_path, "print('still runs')", "s3://nobody-has-this/x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "still runs\n", "")


@pytest.mark.slow
def test_a_store_that_cannot_be_reached(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TransportError, match="cannot reach s3://"):
        list(newest(open_store(bucket)))
    done = capture(tmp_path, "raise SystemExit(3)", bucket)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_no_credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(StoreError, match="no credentials"):
        list(newest(open_store(STORE)))


def test_pruning_takes_old_runs_and_what_only_they_used(bucket: str, tmp_path: Path) -> None:
    import boto3

    store = f"{bucket}/pruned"
    (tmp_path / "app").mkdir()
    for text in ("one", "two"):
        (tmp_path / "app/rows.txt").write_text(text)
        assert capture(tmp_path, "int(open('rows.txt').read())", store).returncode == 1
    opened = open_store(store)
    second, first = newest(opened)
    dry = prune(store, Rules(before=second.started), dry_run=True, emit=ignore, cancel=Cancel())
    assert dry.runs == [first.id] and dry.blobs == 0, "its blobs are young: others may be about to refer to them"
    assert [run.id for run in newest(opened)] == [second.id, first.id]
    done = prune(store, Rules(before=second.started), emit=ignore, cancel=Cancel())
    assert done.bytes == dry.bytes > 0
    assert [run.id for run in newest(opened)] == [second.id]
    client = boto3.session.Session().client("s3")
    listed = client.list_objects_v2(Bucket="acme-runs", Prefix="team/churn/pruned/")
    assert not [item["Key"] for item in listed["Contents"] if first.id in item["Key"]]
    restore.verify(Record(opened, second.id))

    key = "blobs/sha256/aa/" + "a" * 64
    client.put_object(Bucket="acme-runs", Key=f"team/churn/pruned/{key}", Body=b"x")
    assert opened.delete_old([key, key + "0"], time.time() - 60) == 0
    assert opened.delete_old([key], time.time() + 60) == 1
    assert opened.size(key) is None


ROLE = """[profile base]
aws_access_key_id = test
aws_secret_access_key = test
[profile reader]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
region = us-east-1
"""


@pytest.mark.slow
def test_ten_captures_at_once_and_a_role_that_reads_and_prunes(
    bucket: str, isolation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of a role are asked of the service by botocore; reading and deleting use the same."""
    store = f"{bucket}/at-once"
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda folder: capture(folder, f"raise ValueError({folder.name})", store), folders))
    assert [process.returncode for process in done] == [1] * 10
    (isolation / ".aws").mkdir()
    (isolation / ".aws/config").write_text(ROLE)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "reader")
    opened = open_store(store)
    found = list(newest(opened))
    assert len(found) == 10 and {run.status for run in found} == {"failed"}
    assert {run.signature["message"] for run in found if run.signature} == {"<n>"}
    pruned = prune(store, Rules(before=found[4].started), emit=ignore, cancel=Cancel())
    assert pruned.runs == [run.id for run in reversed(found[5:])]
    assert [run.id for run in newest(opened)] == [run.id for run in found[:5]]


DEAF = """import random, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
rows = open('rows.txt').read()
def wait(chosen):
    print(chosen, flush=True)
    time.sleep(60)
wait(random.random())
"""


def test_the_black_box_and_the_inputs_are_in_the_bucket_before_a_machine_is_taken_away(
    bucket: str, tmp_path: Path
) -> None:
    """As a preempted machine goes: SIGTERM, and nothing more is heard."""
    store = f"{bucket}/taken"
    (tmp_path / "rows.txt").write_text("7")
    (tmp_path / "job.py").write_text(DEAF)
    (tmp_path / "agent.pyz").write_bytes(resources.agent_archive())
    words = [sys.executable, "-I", "-S", "agent.pyz", "capture", "--store", store, "--", sys.executable, "job.py"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        eventually(lambda: bool(list(newest(open_store(store)))))
        (run,) = newest(open_store(store))
        eventually(lambda: "output.000000" in _names(store, run.id))
        process.terminate()
        eventually(lambda: {"blackbox.jsonl", "inputs.jsonl", "random.jsonl"} <= _names(store, run.id))
        process.kill()
        os.kill(int(Record(open_store(store), run.id).data["pid"]), signal.SIGKILL)
    record = Record(open_store(store), run.id)
    (moment,) = record.black_box()
    assert moment["why"] == "SIGTERM" and moment["stacks"][0]["frames"][-1]["function"] == "wait"
    assert str(tmp_path / "rows.txt") in [item["path"] for item in record.inputs() if "blob" in item]
    assert [draw["source"] for draw in record.draws()] == ["random"]
    assert record.data["env"]["AWS_DEFAULT_REGION"] == "us-east-1"


def _names(store: str, run_id: str) -> set[str]:
    return set(open_store(store).children(keys.record(run_id)))
