"""Which BLAS computes here, with which kernel and how many threads: equal packages are not equal results."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
from typing import Any, Dict, List

# Symbol prefixes and suffixes under which builds of OpenBLAS hide the same functions.
_OPENBLAS = [(prefix, suffix) for prefix in ("", "scipy_") for suffix in ("", "64_", "_64", "_64_")]
_LIBRARIES = re.compile(r"(openblas|mkl_rt|blis|libgomp|libomp|libiomp|flexiblas|Accelerate)", re.IGNORECASE)


def collect() -> Dict[str, Any]:
    """Import NumPy, if there is one, and ask the libraries that it brought. Nothing is computed."""
    try:
        numpy = importlib.import_module("numpy")
    except Exception as error:  # noqa: BLE001 - a broken NumPy raises anything, and is a fact worth reporting
        return {} if isinstance(error, ModuleNotFoundError) else {"numpy": "cannot be imported: {}".format(error)}
    facts: Dict[str, Any] = {"numpy": str(getattr(numpy, "__version__", ""))}
    features = _cpu_features()
    if features:
        facts["simd"] = features
    facts["libraries"] = [_describe(path) for path in _mapped()]
    return facts


def _cpu_features() -> List[str]:
    """The CPU features that NumPy dispatches on and found here."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        try:
            found = importlib.import_module(name).__cpu_features__
        except (ImportError, AttributeError):
            continue
        return sorted(feature for feature, present in found.items() if present)
    return []


def _mapped() -> List[str]:
    """Numeric libraries in this process's memory."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as stream:
            paths = {line.rstrip("\n").split(None, 5)[-1] for line in stream if "/" in line}
    except OSError:
        return []
    return sorted(path for path in paths if _LIBRARIES.search(os.path.basename(path)))


def _describe(path: str) -> Dict[str, Any]:
    facts: Dict[str, Any] = {"file": os.path.basename(path)}
    if "openblas" not in path.lower():
        return facts
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return facts
    for prefix, suffix in _OPENBLAS:
        core = getattr(library, "{}openblas_get_corename{}".format(prefix, suffix), None)
        threads = getattr(library, "{}openblas_get_num_threads{}".format(prefix, suffix), None)
        if core is not None and threads is not None:
            core.restype = ctypes.c_char_p
            facts.update(kernel=core().decode("ascii", "replace"), threads=int(threads()))
            break
    return facts
