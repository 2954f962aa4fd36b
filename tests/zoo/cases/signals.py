"""Deaths by a signal, from inside and at a time-out."""

from __future__ import annotations

from tests.zoo.case import Case


def _crash(name: str, signal: str, line_text: str = "", function: str = "read") -> Case:
    return Case(
        f"signal_{name}",
        ("{python}", "crash.py", name),
        signal=signal,
        exit=None,
        file="crash.py" if line_text else "",
        function=function,
        line_text=line_text,
        program="crash",
    )


def _hang(name: str, exit_code: int, signal: str) -> Case:
    """The whole tree gets SIGTERM after half a second, and SIGKILL when that did not help."""
    return Case(
        f"timeout_{name}",
        ("{python}", "hang.py", name),
        signal=signal,
        exit=exit_code,
        cause="time-out",
        file="hang.py",
        function="consume",
        line_text="seen.append(source.get())",
        program="hang",
        options=("--timeout", "0.8", "--kill-after", "0.3"),
        bare=("timeout", "-k", "0.3", "0.8"),
    )


CASES = (
    _crash("segfault", "SIGSEGV", "return ctypes.string_at(address)"),
    _crash("abort", "SIGABRT", "os.abort()", "abort"),
    _crash("own_faulthandler", "SIGSEGV"),
    _crash("terminate", "SIGTERM"),
    _crash("interrupt", "SIGINT", "os.kill(os.getpid(), signal.SIGINT)", "interrupt"),
    _crash("kill", "SIGKILL"),
    Case(
        "signal_in_a_shell",
        ("./job.sh", "{python}"),
        signal="SIGSEGV",
        exit=139,
        file="crash.py",
        function="read",
        line_text="return ctypes.string_at(address)",
        program="crash",
        silent=False,  # the shell names the process by its number
    ),
    _hang("plain", 124, "SIGTERM"),
    _hang("polite", 124, "SIGTERM"),
    _hang("deaf", 137, "SIGKILL"),
)
