"""How numbers are computed: BLAS kernel, CPU features of NumPy, threads. Features can be left out, never added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsenv.workflows.reproduce.conditions import Account

# What a kernel of OpenBLAS needs of a processor, in the words of /proc/cpuinfo.
_AVX512 = frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"})
_KERNELS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("prescott", "core2", "atom"), frozenset({"sse2"})),
    **dict.fromkeys(("penryn", "dunnington"), frozenset({"sse2", "sse4_1"})),
    **dict.fromkeys(("nehalem",), frozenset({"sse2", "sse4_2"})),
    **dict.fromkeys(("sandybridge",), frozenset({"avx"})),
    **dict.fromkeys(("haswell", "zen"), frozenset({"avx2", "fma"})),
    "skylakex": _AVX512,
    "cooperlake": _AVX512 | {"avx512_bf16"},
    "sapphirerapids": _AVX512 | {"avx512_bf16", "amx_tile"},
}
# Variables by which a program is told how to compute; where one was set, it is among the recorded ones.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MATCHING = "reproduce on a workstation that matches"


def restore(account: Account, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Decide kernel, features and threads. What a NumPy is here is known when it runs, see `unmet`."""
    numeric, set_there = facts_at(there, "numeric"), facts_at(there, "threads")
    flags = _words(facts_at(here, "cpu").get("flags"))
    variables: dict[str, str] = {}
    libraries = _dicts(numeric)
    kernels = sorted({str(item["kernel"]) for item in libraries if item.get("kernel")})
    if len(kernels) == 1 and "OPENBLAS_CORETYPE" not in set_there:
        _kernel(account, kernels[0], flags, variables)
    _features(account, numeric, set_there, variables)
    threads = sorted({int(item["threads"]) for item in libraries if isinstance(item.get("threads"), int)})
    if len(threads) == 1 and 0 < threads[0] <= 1 << 10 and not any(name in set_there for name in _THREADS):
        variables.update(dict.fromkeys(_THREADS, str(threads[0])))
        account.decide(threads=threads[0])
        account.say(True, "threads", "BLAS", f"{threads[0]}, as recorded")
    if any("mkl" in str(item.get("file", "")) for item in libraries):
        _mkl(account, facts_at(there, "cpu"), flags, variables)
    missing = sorted(_words(facts_at(there, "cpu").get("flags")) - flags) if flags else []
    if missing and "simd" in numeric:
        account.say(False, "cpu", "features", f"{_upper(missing)} there, not here; {_MATCHING}")
    account.decide(variables={**account.conditions.variables, **variables})


def _kernel(account: Account, kernel: str, flags: set[str], variables: dict[str, str]) -> None:
    needs = _KERNELS.get(kernel.lower())
    if needs is None or not flags:
        account.say(False, "cpu", "blas kernel", f"{kernel} there; whether this machine has it is not known")
    elif needs <= flags:
        variables["OPENBLAS_CORETYPE"] = kernel
        account.say(True, "cpu", "blas kernel", f"{kernel}, by OPENBLAS_CORETYPE")
    else:
        note = f"{kernel} there, which needs a machine with {_upper(sorted(needs - flags))}; {_MATCHING}"
        account.say(False, "cpu", "blas kernel", note)


def _features(
    account: Account, numeric: Mapping[str, Any], set_there: Mapping[str, Any], variables: dict[str, str]
) -> None:
    """Those that this NumPy can choose and that were not there. NumPy ignores what the machine does not have."""
    used, choices = _words(numeric.get("simd")), _words(numeric.get("dispatch"))
    without = sorted(name for name in choices - used if name.replace("_", "").isalnum())
    if not used or not without or "NPY_DISABLE_CPU_FEATURES" in set_there:
        return
    variables["NPY_DISABLE_CPU_FEATURES"] = " ".join(without)
    account.say(True, "cpu", "NumPy features", f"without {' '.join(without)}, as there")


def _mkl(account: Account, cpu: Mapping[str, Any], flags: set[str], variables: dict[str, str]) -> None:
    there = _words(cpu.get("flags"))
    if "avx512f" in flags and "avx512f" not in there:
        variables["MKL_ENABLE_INSTRUCTIONS"] = "AVX2" if "avx2" in there else "SSE4_2"
        account.say(True, "cpu", "MKL", f"up to {variables['MKL_ENABLE_INSTRUCTIONS']}, imitated")


def unmet(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the reproduction's NumPy turned out to compute otherwise: name, there, here."""
    was, now = facts_at(there, "numeric"), facts_at(here, "numeric")
    found = []
    used, uses = _words(was.get("simd")), _words(now.get("simd"))
    if used and uses and used != uses and was.get("numpy") == now.get("numpy"):
        found.append(("NumPy features", " ".join(sorted(used - uses)) or "-", " ".join(sorted(uses - used)) or "-"))
    for name, label in (("kernel", "blas kernel"), ("threads", "blas threads")):
        values = [sorted({str(item[name]) for item in _dicts(side) if name in item}) for side in (was, now)]
        if values[0] and values[1] and values[0] != values[1]:
            found.append((label, ", ".join(values[0]), ", ".join(values[1])))
    return found


def _dicts(numeric: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = numeric.get("libraries")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _words(value: Any) -> set[str]:
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def _upper(flags: list[str]) -> str:
    return " ".join(flag.upper() for flag in flags)


def facts_at(facts: Any, *names: str) -> Mapping[str, Any]:
    """A table of facts; an empty one where there is none, or where something else stands."""
    for name in names:
        facts = facts.get(name) if isinstance(facts, Mapping) else None
    return facts if isinstance(facts, Mapping) else {}


def number(facts: Mapping[str, Any], name: str) -> float | None:
    """A fact that is a number, and not a negative or a huge one."""
    value = facts.get(name)
    sane = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1 << 60
    return value if sane else None


def text_at(facts: Mapping[str, Any], *names: str) -> str:
    """A fact that is a text, empty when there is none."""
    value = facts_at(facts, *names[:-1]).get(names[-1])
    return value if isinstance(value, str) and len(value) < 200 and value.isprintable() else ""
