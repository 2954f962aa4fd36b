"""Gives generators that nobody seeded what they took from the system in the recorded run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsenv.runs.record import Record
from dsenv.workflows.reproduce.model import Item

CRYPTOGRAPHIC = "os.urandom"


def account(record: Record) -> tuple[list[Item], list[Item]]:
    """What is said of randomness: brought back, and not brought back."""
    draws = record.draws()
    known = [draw for draw in draws if draw["value"]]
    restored, lost = [], []
    if known:
        sources = ", ".join(sorted({draw["source"] for draw in known}))
        processes = len({draw["process"] for draw in known})
        note = f"{len(known)} draws of {processes} processes, as they were drawn"
        restored.append(Item("randomness", sources, note))
    if len(known) < len(draws):
        note = "cryptographic randomness was used and not recorded; capture with --record-entropy"
        lost.append(Item("randomness", CRYPTOGRAPHIC, note))
    return restored, lost


def write(record: Record, folder: Path) -> dict[str, Any]:
    """Put the draws into a new file in `folder`; returns what the replay is told of it."""
    draws = record.draws()
    if not draws:
        return {}
    file = folder / "random.jsonl"
    file.write_text("".join(json.dumps(draw) + "\n" for draw in draws), encoding="ascii")
    return {"random": str(file)}


def options(record: Record) -> list[str]:
    """What the capture of the reproduction is to be told."""
    entropy = any(draw["source"] == CRYPTOGRAPHIC and draw["value"] for draw in record.draws())
    return ["--record-entropy"] if entropy else []
