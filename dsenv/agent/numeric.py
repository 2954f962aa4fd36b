"""Which BLAS computes here, with which kernel and how many threads: equal packages are not equal results."""

from __future__ import annotations

import importlib
from typing import Any, Dict

from dsenv.agent.capture.hook import on_blas


def collect() -> Dict[str, Any]:
    """Import NumPy, if there is one, and ask the libraries that it brought. Nothing is computed."""
    try:
        numpy = importlib.import_module("numpy")
    except Exception as error:  # noqa: BLE001 - a broken NumPy raises anything, and is a fact worth reporting
        return {} if isinstance(error, ModuleNotFoundError) else {"numpy": "cannot be imported: {}".format(error)}
    return on_blas.facts(numpy)
