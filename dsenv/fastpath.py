"""Commands that must start before typer could be imported.

`capture` stands in production between an orchestrator and the user's program, so it is handed to the agent
with nothing but the standard library loaded.
"""

from __future__ import annotations


def try_run(arguments: list[str]) -> int | None:
    """Run `arguments` if they are for a fast path; None when the full command line must parse them."""
    if not arguments or arguments[0] != "capture":
        return None
    own = arguments[1 : arguments.index("--")] if "--" in arguments else arguments[1:]
    if (not own and "--" not in arguments) or "--help" in own or "-h" in own:
        return None
    try:
        from dsenv.agent.capture import command
    except ImportError:  # a system without POSIX processes
        return None
    return command.main(arguments[1:])
