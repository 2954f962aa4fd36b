"""Makes records in a folder, byte for byte as the format says, for tests of whatever reads them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

from dsenv.agent import schema

RUN_ID = "20260301T101500-000001-abcd"


class RecordBuilder:
    """One failed run of `python train.py` in /srv/app. Change `record`, `frames`, `inputs`, then `write`."""

    def __init__(self, store: Path, run_id: str = RUN_ID) -> None:
        self.store = store
        self.id = run_id
        self.day = f"{run_id[:4]}/{run_id[4:6]}/{run_id[6:8]}"
        self.status = "failed"
        self.inputs: list[dict[str, Any]] = []
        self.chunks: list[tuple[int, bytes]] = [(1, b"reading\n"), (2, b"Traceback ...\nValueError: bad row 7\n")]
        self.frames: dict[str, Any] = {"format": schema.FORMAT, "primary": 0, "failures": [failure()]}
        self.record: dict[str, Any] = {
            "format": schema.FORMAT,
            "id": run_id,
            "kind": "production",
            "project": "app",
            "task": None,
            "command": ["python", "train.py"],
            "cwd": "/srv/app",
            "started": 1_772_360_100_000_000,
            "ended": 1_772_360_101_500_000,
            "pid": 4711,
            "host": {"name": "prod-1", "system": "Linux"},
            "dsenv": "0.1.0",
            "status": "failed",
            "exit": 1,
            "signal": None,
            "signature": signature(),
            "related": [],
            "env": {"PATH": "/usr/local/bin:/usr/bin:/bin", "DB_PASSWORD": "<redacted>"},
            "umask": 0o022,
            "stdin": {"kind": "null"},
            "resources": {"wall_seconds": 1.5, "max_rss": 120 << 20},
            "redactions": [{"where": "env", "name": "DB_PASSWORD", "reason": "name"}],
            "trouble": [],
        }
        self.code({"train.py": b"rows = []\nraise ValueError('bad row 7')\n"})

    @property
    def folder(self) -> Path:
        """The record's own folder."""
        return self.store / "runs" / self.day / self.id

    def blob(self, data: bytes) -> str:
        """Keep bytes; returns their digest."""
        digest = hashlib.sha256(data).hexdigest()
        file = self.store / "blobs" / "sha256" / digest[:2] / digest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return digest

    def pack(self, contents: list[bytes]) -> str:
        """Keep file contents as a pack; returns its digest."""
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
            for data in contents:
                stream.write(schema.PACK_HEADER.pack(hashlib.sha256(data).digest(), len(data)) + data)
        return self.blob(buffer.getvalue())

    def code(self, files: dict[str, bytes], *, links: dict[str, str] | None = None, root: str = "/srv/app") -> None:
        """Set the code tree."""
        tree = {
            "format": schema.FORMAT,
            "files": [
                {"path": path, "mode": 0o644, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for path, data in files.items()
            ],
            "links": [{"path": path, "target": target} for path, target in (links or {}).items()],
            "folders": [],
            "packs": [self.pack(list(files.values()))] if files else [],
        }
        self.record["code"] = {
            "root": root,
            "tree": self.blob(json.dumps(tree).encode()),
            "files": len(files),
            "bytes": sum(map(len, files.values())),
            "vcs": None,
            "skipped": [],
        }

    def write(self) -> Path:
        """Write everything; returns the record's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        started = {key: self.record[key] for key in ("format", "id", "kind", "project", "command", "cwd", "started")}
        self._json("started.json", started)
        if self.status != "running":
            self._json("record.json", self.record)
            self._json("frames.json", self.frames)
        else:
            (self.folder / "heartbeat").write_text(str(time.time_ns() // 1000))
        header = schema.OUTPUT_HEADER
        (self.folder / "output").write_bytes(
            b"".join(header.pack(stream, self.record["started"], len(data)) + data for stream, data in self.chunks)
        )
        (self.folder / "inputs.jsonl").write_text("".join(json.dumps(item) + "\n" for item in self.inputs))
        entry = self.store / "index" / self.day / self.status / f"{self.id}.json"
        entry.parent.mkdir(parents=True, exist_ok=True)
        keys = schema.Summary.__annotations__.keys()
        entry.write_text(json.dumps({key: self.record[key] for key in keys if key in self.record}))
        return self.folder

    def _json(self, name: str, value: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(value))


def signature(message: str = "bad row <n>") -> dict[str, Any]:
    """A ValueError in train.py."""
    return {
        "kind": "exception",
        "type": "ValueError",
        "message": message,
        "frame": {"file": "train.py", "function": "load", "line": 2, "line_text": "raise ValueError('bad row 7')"},
        "signal": None,
        "cause": None,
        "exit": None,
    }


def failure() -> dict[str, Any]:
    """What the process knew: a ValueError with a cause, two frames of the user's and one of a library."""
    table = {
        "name": "table",
        "type": "DataFrame",
        "preview": "   city  rows\n0  Ulm      7",
        "shape": [3, 2],
        "columns": [
            {"name": "city", "dtype": "object", "nulls": 0, "unique": 2, "top": {"Ulm": 2, "Bonn": 1}},
            {"name": "rows", "dtype": "int64", "nulls": 0, "min": 1, "max": 7},
        ],
    }
    number = {"name": "row", "type": "int", "preview": "7"}
    hidden = {"name": "password", "type": "str", "preview": "<redacted>", "redacted": True}
    source = ["def load(path):", "    for row in rows:", "        raise ValueError(f'bad row {row}')"]

    def frame(file: str, function: str, line: int, user: bool, variables: list[Any]) -> dict[str, Any]:
        shown = {"first_line": line - 2, "source": source, "locals": variables}
        return {"file": file, "function": function, "line": line, "user": user, "module": "__main__", **shown}

    library = frame("/usr/lib/python3/site-packages/pandas/io.py", "read_csv", 90, False, [])
    deepest = frame("/srv/app/train.py", "load", 12, True, [table, number, hidden])
    outer = frame("/srv/app/train.py", "main", 30, True, [{"name": "path", "type": "str", "preview": "'data.csv'"}])
    cause = {"type": "KeyError", "message": "'rows'", "notes": [], "link": None, "frames": [deepest]}
    error = {"type": "ValueError", "message": "bad row 7", "notes": ["in data.csv"], "link": "cause"}
    return {
        "pid": 4711,
        "ppid": 1,
        "argv": ["python", "train.py"],
        "when": 1_772_360_101_000_000,
        "thread": "MainThread",
        "how": "uncaught",
        "exceptions": [error | {"frames": [outer, deepest, library]}, cause],
    }
