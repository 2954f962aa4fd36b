"""`as_user.py WAY FOLDER PART PARTS`: captures and reproduces its part of the zoo as whoever runs it.

Writes a JSON line for each case: its name, and what is wrong, which is nothing, or that this user cannot play it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import cast

from dsenv.agent.replay import namespace
from dsenv.workflows.reproduce.model import Isolation
from tests.zoo.cases import CASES
from tests.zoo.test_reproduce import comes_back

CANNOT = "this user cannot play it"


def main(way: Isolation, folder: Path, part: int, parts: int) -> None:
    """Each case is repeated once, however random it is."""
    for number, case in enumerate(CASES):
        if number % parts != part or way not in case.ways:
            continue
        problem = ""
        if not case.needs() or (way == "namespace" and not namespace.available()):
            problem = CANNOT
        else:
            try:
                comes_back(case, way, folder / f"{case.name}-{way}")
            except Exception:  # noqa: BLE001 - the others are tried all the same
                problem = traceback.format_exc()
        print(json.dumps({"case": case.name, "problem": problem}), flush=True)


if __name__ == "__main__":
    assert os.geteuid() != 0
    main(cast(Isolation, sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
