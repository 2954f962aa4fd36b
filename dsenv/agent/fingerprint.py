"""Everything about a place that can change a result. Standard library, a few milliseconds, nothing is executed.

A fingerprint is a dict of layers; a layer that could not be read is absent, never guessed:

    python         version, implementation, build, compiler, soabi, executable, openssl, sqlite, zlib
    os             system, machine, kernel, distribution, libc
    cpu            model, flags (those that numeric code dispatches on), count, usable
    limits         memory, memory_limit, cpu_limit, shm (bytes or CPUs); memory_kill: `group` when all of a control
                   group's processes are killed at once; ulimit: name to [soft, hard], -1 is none
    threads        variables that set thread counts, kernels and hash seeds, with their values
    locale         LANG, LC_*, encoding, utf8_mode, timezone, offset (seconds east of UTC), zone (its name), rules
                   (what TZ would say without a zone file), missing (names of locales that are not installed)
    process        umask
    env            names of all variables, sorted: never values
    distributions  list of schema.Distribution, when a path was given
    numeric        see agent/numeric.py; of a recorded run, what its last program that used NumPy said at its end

agent/describe.py adds more when it is asked for.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import EXTENSION_SUFFIXES

from dsenv.agent import distributions
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Sequence

FORMAT = 1

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OMP_DYNAMIC", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_NUM_THREADS", "MKL_CBWR",
    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "TF_DETERMINISTIC_OPS",
    "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX",
)  # fmt: skip
LOCALE_VARIABLES = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_NUMERIC", "LC_COLLATE", "LC_TIME", "TZ")

_CPU_FLAGS = frozenset([
    "sse2", "ssse3", "sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512dq", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "asimdhp", "sve", "sve2",
    "bf16", "i8mm",
])  # fmt: skip
_ULIMITS = ("AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "RSS", "STACK")
_NO_LIMIT = 1 << 60
_ZONES = "/usr/share/zoneinfo"
_LOCALTIME = "/etc/localtime"
_ALL_CATEGORIES = 0x1FBF  # LC_ALL_MASK of glibc; other C libraries take any mask with these bits
DPKG_STATUS = "/var/lib/dpkg/status"


def collect(
    environ: Mapping[str, str], sys_path: Optional[Sequence[str]] = None, *, libraries: bool = True
) -> Dict[str, Any]:
    """The fingerprint of this machine for a process with `environ`; with its distributions when `sys_path` is given."""
    facts: Dict[str, Any] = {
        "format": FORMAT,
        "python": {**python_facts(), **(library_facts() if libraries else {})},
        "os": os_facts(),
        "cpu": cpu_facts(),
        "limits": limit_facts(),
        "threads": {name: environ[name] for name in THREAD_VARIABLES if name in environ},
        "locale": locale_facts(environ),
        "process": process_facts(),
        "env": sorted(environ),
    }
    if sys_path is not None:
        facts["distributions"] = distributions.scan(sys_path)
    return facts


def python_facts() -> Dict[str, Any]:
    """The running interpreter."""
    # "3.11.2 (main, Apr 28 2025, 14:11:48) [GCC 12.2.0]": the platform module reads it with expressions that it
    # compiles when it is loaded.
    build, _, compiler = sys.version.partition("(")[2].partition(")")
    return {
        "version": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "build": " ".join(build.lstrip("#").replace(",", " ").split()),
        "compiler": compiler.partition("[")[2].partition("]")[0],
        "soabi": _soabi(),
        "executable": sys.executable,
    }


def library_facts() -> Dict[str, str]:
    """The libraries in the running interpreter. They are loaded to be asked: milliseconds, and a megabyte."""
    facts: Dict[str, str] = {}
    for name, module, attribute in (
        ("openssl", "_ssl", "OPENSSL_VERSION"),
        ("sqlite", "_sqlite3", "sqlite_version"),
        ("zlib", "zlib", "ZLIB_RUNTIME_VERSION"),
    ):
        try:
            facts[name] = str(getattr(__import__(module), attribute))
        except (ImportError, AttributeError):
            facts[name] = ""
    return facts


def _soabi() -> str:
    """The middle of what compiled modules are called here, as sysconfig's SOABI but without its long files."""
    return EXTENSION_SUFFIXES[0].strip(".").rpartition(".")[0] if EXTENSION_SUFFIXES else ""


def os_facts() -> Dict[str, str]:
    """System, distribution and C library."""
    facts = _system()
    release = _key_values("/etc/os-release")
    if release:
        facts["distribution"] = " ".join(filter(None, (release.get("ID", ""), release.get("VERSION_ID", ""))))
    if facts["system"] == "Darwin":
        import platform

        facts["distribution"] = "macos " + platform.mac_ver()[0]
    try:
        facts["libc"] = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        import platform

        facts["libc"] = " ".join(filter(None, platform.libc_ver()))
    return {name: value for name, value in facts.items() if value}


def _system() -> Dict[str, str]:
    if hasattr(os, "uname"):
        found = os.uname()
        return {"system": found.sysname, "machine": found.machine, "kernel": found.release}
    import platform

    return {"system": platform.system(), "machine": platform.machine(), "kernel": platform.release()}


def _key_values(file: str) -> Dict[str, str]:
    pairs = (line.partition("=") for line in _lines(file))
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs if value}


def _lines(file: str) -> List[str]:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20).splitlines()
    except OSError:
        return []


def cpu_facts() -> Dict[str, Any]:
    """The processor, and how many of it this process may use."""
    facts: Dict[str, Any] = {"count": os.cpu_count() or 1}
    if hasattr(os, "sched_getaffinity"):
        facts["usable"] = len(os.sched_getaffinity(0))
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        key = key.strip()
        if key == "model name":
            facts.setdefault("model", value.strip())
        elif key in ("flags", "Features"):
            facts.setdefault("flags", sorted(_CPU_FLAGS.intersection(value.split())))
        if not line and "flags" in facts:
            break
    return facts


def limit_facts() -> Dict[str, Any]:
    """What this process may use: of memory, CPU time, shared memory and the kernel's tables."""
    facts: Dict[str, Any] = {}
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            facts["memory"] = int(line.split()[1]) * 1024
            break
    facts.update(cgroup_facts())
    try:
        shared = os.statvfs("/dev/shm")  # noqa: S108 - its size is asked, nothing is written
        facts["shm"] = shared.f_frsize * shared.f_blocks
    except (OSError, AttributeError):
        pass
    found = ulimits()
    if found:
        facts["ulimit"] = found
    return facts


def ulimits() -> Dict[str, List[int]]:
    """The limits of this process: name to soft and hard, -1 is none. Empty on a system that has no such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    limits = {name.lower(): getattr(resource, "RLIMIT_" + name, None) for name in _ULIMITS}
    return {
        name: [-1 if value >= _NO_LIMIT or value < 0 else value for value in resource.getrlimit(number)]
        for name, number in limits.items()
        if number is not None
    }


def cgroup_facts(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> Dict[str, Any]:
    """The tightest memory limit (bytes) and CPU quota (CPUs) of the control groups around this process."""
    facts: Dict[str, Any] = {}
    for folder in _cgroup_folders(root, membership):
        memory = _first_word(folder, "memory.max", "memory.limit_in_bytes")
        if memory.isdigit() and int(memory) < _NO_LIMIT:
            facts["memory_limit"] = min(int(memory), facts.get("memory_limit", _NO_LIMIT))
        if _first_word(folder, "memory.oom.group") == "1":
            facts["memory_kill"] = "group"
        quota = (_lines(os.path.join(folder, "cpu.max")) or [""])[0].split()
        if len(quota) != 2:
            quota = [_first_word(folder, "cpu.cfs_quota_us"), _first_word(folder, "cpu.cfs_period_us")]
        if all(part.isdigit() for part in quota) and int(quota[1]):
            facts["cpu_limit"] = min(int(quota[0]) / int(quota[1]), facts.get("cpu_limit", float(_NO_LIMIT)))
    return facts


def _cgroup_folders(root: str, membership: str) -> List[str]:
    folders = []
    for line in _lines(membership):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base = root if not controllers else os.path.join(root, controllers)
        parts = [part for part in path.split("/") if part and part != ".."]
        folders += [os.path.join(base, *parts[:depth]) for depth in range(len(parts) + 1)]
    return folders


def _first_word(folder: str, *names: str) -> str:
    for name in names:
        lines = _lines(os.path.join(folder, name))
        if lines:
            return lines[0].strip()
    return ""


def locale_facts(environ: Mapping[str, str]) -> Dict[str, Any]:
    """Language, encoding and time zone."""
    facts: Dict[str, Any] = {name: environ[name] for name in LOCALE_VARIABLES if name in environ}
    facts["encoding"] = sys.getfilesystemencoding()
    facts["utf8_mode"] = sys.flags.utf8_mode
    now = time.localtime()
    facts["timezone"] = now.tm_zone
    facts["offset"] = now.tm_gmtoff
    facts.update(zone_facts(environ.get("TZ")))
    asked = (environ.get(name, "") for name in LOCALE_VARIABLES if name not in ("TZ", "LANGUAGE"))
    missing = sorted({name for name in asked if name and not has_locale(name)})
    if missing:
        facts["missing"] = missing
    return facts


def zone_facts(variable: Optional[str], localtime: str = _LOCALTIME, zones: str = _ZONES) -> Dict[str, str]:
    """The time zone's `zone` (name in the zone database) and `rules`, as far as the system's files say.

    `variable` is TZ; without it the zone is that of the file `localtime`. A zone that is not on this machine has
    no rules, and the C library takes it for UTC.
    """
    if variable is None:
        file = os.path.realpath(localtime)
        found = {"zone": file.partition("/zoneinfo/")[2]}
    else:
        name = variable.lstrip(":")
        file = os.path.join(zones, name)
        found = {"zone": name if name and os.path.isfile(file) else ""}
    try:
        with open(file, "rb") as stream:
            data = stream.read(1 << 20)
    except (OSError, ValueError):
        data = b""
    # The footer of a TZif file (RFC 8536): a line between two line feeds, in the form of TZ.
    footer = data.rstrip(b"\n").rpartition(b"\n")[2] if data.startswith(b"TZif") and data.endswith(b"\n") else b""
    found["rules"] = footer.decode("ascii", "replace")
    return {name: value for name, value in found.items() if value}


def has_locale(name: str) -> bool:
    """Whether the C library knows the locale; true where it cannot be asked."""
    if name in ("C", "POSIX") or name == _locale_of_ours():
        return True
    try:
        import ctypes

        library = ctypes.CDLL(None)
        library.newlocale.restype = ctypes.c_void_p
        library.freelocale.argtypes = [ctypes.c_void_p]
        made = library.newlocale(_ALL_CATEGORIES, os.fsencode(name), None)
        if made:
            library.freelocale(made)
    except (ImportError, OSError, AttributeError, TypeError, ValueError):
        return True
    return bool(made)


def _locale_of_ours() -> Optional[str]:
    """The one by which this Python reads characters, which is there. It costs nothing, and is mostly what is asked."""
    try:
        import _locale

        return _locale.setlocale(_locale.LC_CTYPE, None)
    except (ImportError, AttributeError, ValueError):
        return None


def process_facts() -> Dict[str, Any]:
    """What a process inherits besides its environment."""
    for line in _lines("/proc/self/status"):
        if line.startswith("Umask:"):
            return {"umask": line.split()[1]}
    return {}


def installed_packages(status: str = DPKG_STATUS) -> Dict[str, str]:
    """Name to version of the installed Debian packages."""
    try:
        with open(status, encoding="utf-8", errors="replace") as stream:
            blocks = stream.read().split("\n\n")
    except OSError:
        return {}
    fields = [dict(line.partition(": ")[::2] for line in block.splitlines() if line[:1].strip()) for block in blocks]
    return {
        item["Package"]: item.get("Version", "")
        for item in fields
        if "Package" in item and item.get("Status", "").endswith(" installed")
    }
