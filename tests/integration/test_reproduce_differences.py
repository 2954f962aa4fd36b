"""One thing differs between production and here, for real: it is the first in the list, with how to close it."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.replay import cgroup
from dsenv.cli.commands.reproduce import _result_lines
from dsenv.workflows.reproduce.model import Difference, Reproduction
from tests.integration.test_reproduce_conditions import Production
from tests.integration.test_reproduce_memory import again, produce


@pytest.fixture
def production(tmp_path: Path) -> Production:
    return Production(tmp_path)


def first(result: Reproduction) -> Difference:
    assert result.verdict in {"passed", "different-failure"}, result.observed
    return result.differences[0]


def test_an_input_that_was_not_kept(production: Production) -> None:
    data = production.root.parent / "rows.csv"
    data.write_text("1,x")
    production.run(f"[int(word) for word in open({str(data)!r}).read().split(',')]")
    (file,) = production.store.glob("runs/*/*/*/*/inputs.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line.pop("blob", None)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data.write_text("1,2")
    found = first(production.again())
    assert (found.what, found.name, found.here) == ("input", str(data), "not restored")


def test_a_secret_that_the_program_looks_into(production: Production) -> None:
    program = "import os\nif os.environ['DB_PASSWORD'].startswith('hunter'): raise ValueError('weak')"
    production.run(program, DB_PASSWORD="hunter2hunter2")
    found = first(production.again())
    assert (found.what, found.name) == ("env", "DB_PASSWORD")
    assert "placeholder" in found.why


def _hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def test_a_service_that_is_not_reached(production: Production) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        production.run(f"import socket\nif not socket.create_connection(('127.0.0.1', {port})).recv(1): raise EOFError")
    result = production.again()
    assert first(result).what == "network"
    assert any(line.startswith("  network") for line in _result_lines(result))


def test_time(production: Production) -> None:
    """The record is that of a machine on which it was 2001."""
    production.run("import time\nraise ValueError('bad date' if time.gmtime().tm_year < 2010 else 'date')")

    def earlier(record: dict[str, Any]) -> None:
        record["signature"]["message"] = "bad date"
        record["started"] = 1_000_000_000_000_000

    production.change(earlier)
    assert production.again(clock=True).verdict == "same-failure"
    result = production.again()
    found = first(result)
    assert (found.what, found.fix) == ("clock", f"dsenv reproduce {result.run.id} --clock recorded")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or not cgroup.available("memory"), reason="needs a control group")
def test_memory_that_nobody_can_withhold(tmp_path: Path) -> None:
    produce(tmp_path, "print(len(bytearray(b'x' * (300 << 20))))", limit=200)
    result = again(tmp_path, by="")
    assert (result.verdict, result.explained_by) == ("passed", None)
    assert (first(result).what, first(result).name) == ("limits", "memory")


def test_a_locale_that_is_not_here(production: Production) -> None:
    """The failure speaks of encoding, so it comes before all else."""
    program = (
        "if '\\udc80' == open('name', 'rb').read().decode('utf-8', 'surrogateescape'): raise UnicodeError('codec')"
    )
    (production.root / "name").write_bytes(b"\x80")
    production.run(program)

    def other(record: dict[str, Any]) -> None:
        record["env"]["LC_ALL"] = record["fingerprint"]["locale"]["LC_ALL"] = "xx_XX.ISO-8859-1"
        record["signature"]["message"] = "another codec"

    production.change(other)
    found = first(production.again())
    assert (found.what, found.name) == ("locale", "xx_XX.ISO-8859-1")
    assert "locale-gen" in found.why
