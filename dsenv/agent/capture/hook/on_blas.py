"""Which BLAS computes in a program, with which kernel and how many threads: equal packages are not equal results.

Asked when the program ends, because libraries come late; in the program's own process, because another one may have
other libraries, variables and processors.
"""

import os
import sys

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List

    from .program import Program

_NAMES = ("openblas", "mkl_rt", "blis", "libgomp", "libomp", "libiomp", "flexiblas", "accelerate")
# Prefixes and suffixes under which builds of OpenBLAS hide the same functions.
_OPENBLAS = [(prefix, suffix) for prefix in ("", "scipy_") for suffix in ("", "64_", "_64", "_64_")]


def watch(numpy: "Any", program: "Program") -> None:
    """Say it when this process ends; a worker of it would only say the same again.

    A reproduction has the recorded number of threads: a variable sets no more than there are processors.
    """
    import atexit

    if program.settings.get("threads"):
        set_threads(int(program.settings["threads"]))

    pid = os.getpid()

    def ended() -> None:
        if os.getpid() == pid and not _is_worker():
            try:
                program.events.write(dict(facts(numpy), e="numeric"))
            except Exception:  # noqa: BLE001 - the program ends as it would
                pass

    atexit.register(ended)


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def facts(numpy: "Any") -> "Dict[str, Any]":
    """The CPU features that this NumPy uses (`simd`) and could use (`dispatch`), and the libraries in memory."""
    found: "Dict[str, Any]" = {"numpy": str(getattr(numpy, "__version__", ""))}
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        module = sys.modules.get(name)
        features = getattr(module, "__cpu_features__", None)
        if features:
            found["simd"] = sorted(feature for feature, present in features.items() if present)
            found["dispatch"] = list(getattr(module, "__cpu_dispatch__", ()))
            break
    found["libraries"] = [_describe(path) for path in _mapped()]
    return found


def _mapped() -> "List[str]":
    """Numeric libraries in this process's memory."""
    found = set()
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                name = line.rstrip("\n").rpartition("/")[2].lower()
                if "/" in line and any(known in name for known in _NAMES):
                    found.add(line.rstrip("\n").split(None, 5)[-1])
    except OSError:
        pass
    return sorted(found)


def _describe(path: str) -> "Dict[str, Any]":
    found: "Dict[str, Any]" = {"file": os.path.basename(path)}
    for core, threads, _ in _functions(path):
        import ctypes

        core.restype = ctypes.c_char_p
        found.update(kernel=core().decode("ascii", "replace"), threads=int(threads()))
    return found


def _functions(path: str) -> "Iterator[Any]":
    """What asks an OpenBLAS for its kernel and threads, and what sets the threads; nothing of another library."""
    if "openblas" not in path.lower():
        return
    import ctypes

    try:
        library = ctypes.CDLL(path)
    except OSError:
        return
    for prefix, suffix in _OPENBLAS:
        names = (
            prefix + "openblas_" + name + suffix for name in ("get_corename", "get_num_threads", "set_num_threads")
        )
        found = [getattr(library, name, None) for name in names]
        if None not in found:
            yield found
            return


def set_threads(number: int) -> None:
    """Let every OpenBLAS in memory use `number` threads, more than there are processors too."""
    for path in _mapped():
        for _, threads, change in _functions(path):
            if threads() != number:
                change(number)
