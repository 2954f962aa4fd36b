"""What the command's standard input is, and what of it is kept."""

from __future__ import annotations

import os
import stat

from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

    from dsenv.agent.capture.relay import InputRelay

    Stdin = Tuple[Dict[str, Any], Optional[bytes]]  # schema.Stdin, and the content that is kept

CAP = 16 << 20


def of_file(offset: int) -> Stdin:
    """What it is, and its content from `offset`, where the command begins to read it, if it is a file.

    The command may have read on already, so the place is that of the descriptor when it was started.
    """
    try:
        info = os.fstat(0)
        if os.isatty(0):
            return {"kind": "terminal"}, None
        if not stat.S_ISREG(info.st_mode):
            return {"kind": "null"}, None
        kept = os.pread(0, CAP, offset)
    except OSError:
        return {"kind": "null"}, None
    size = max(0, info.st_size - offset)
    return {"kind": "file", "size": size, "truncated": size > len(kept)}, kept


def of_pipe(source: InputRelay) -> Stdin:
    """What came through a pipe, and the beginning of it."""
    if os.isatty(0):
        return {"kind": "terminal"}, None
    kept = bytes(source.kept)
    return {"kind": "pipe", "size": source.size, "truncated": source.size > len(kept)}, kept
