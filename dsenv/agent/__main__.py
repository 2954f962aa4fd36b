"""`python3 -m dsenv.agent VERB ...`, and the same from the zipapp under `python3 -I -S`."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

TYPE_CHECKING = False  # typing takes as long to load as half of our modules
if TYPE_CHECKING:
    from typing import List, Optional

# Each module has `main(arguments) -> exit code`; only the one that is asked for is imported.
VERBS = {
    "capture": "dsenv.agent.capture.command",
    "serve": "dsenv.agent.serve",
    "install": "dsenv.agent.install",
    "fingerprint": "dsenv.agent.describe",
    "replay": "dsenv.agent.rerun",
    "retire": "dsenv.agent.retire",
}


def main(argv: Optional[List[str]] = None) -> int:
    """Run one verb; returns its exit code, 2 for an unknown one."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] not in VERBS:
        sys.stderr.write("usage: agent {} ...\n".format("|".join(sorted(VERBS))))
        return 2
    gc.set_threshold(20_000)  # what is imported stays: looking through it for rubbish is 5 % of our start
    try:
        module = import_module(VERBS[arguments[0]])
    except KeyboardInterrupt:  # before anything was started
        sys.stderr.write("interrupted\n")
        return 130
    code: int = module.main(arguments[1:])
    return code


def leave() -> None:
    """Run what the arguments of this process ask for, and end it. Never returns.

    Behind capture nothing is left to be done, so the interpreter is not taken apart: the caller waits for that.
    """
    code = main()
    if sys.argv[1:2] == ["capture"]:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave()
