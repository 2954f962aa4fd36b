"""Commands that must start before typer could be imported.

`capture` stands in production between an orchestrator and the user's program, so it is handed to the agent
with nothing but the standard library loaded.
"""

from __future__ import annotations


def try_run(arguments: list[str]) -> int | None:
    """Run `arguments` if they are for a fast path; None when the full command line must parse them."""
    return None
