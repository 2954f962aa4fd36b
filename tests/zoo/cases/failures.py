"""The ways in which a Python program fails: exits, threads, tasks, workers, children, tools, notebooks."""

from __future__ import annotations

import importlib.util

from tests.zoo.case import Case

_PARSE = "return json.loads(text)[limit]"
_INVERT = "return 1 / scale"


def _ends(name: str, exit_code: int) -> Case:
    """An IndexError that ends the program in the way that `name` says."""
    return Case(
        f"ends_{name}",
        ("{python}", "ends.py", name),
        type="IndexError",
        message="list index out of range",
        file="ends.py",
        function="parse",
        line_text=_PARSE,
        exit=exit_code,
        program="ends",
    )


def _works(script: str, file: str = "work.py") -> Case:
    """A ZeroDivisionError in a worker: its own frame counts, not that of the parent that raises it again."""
    return Case(
        f"worker_{script}",
        ("{python}", f"{script}.py"),
        type="ZeroDivisionError",
        message="division by zero",
        file=file,
        function="invert",
        line_text=_INVERT,
        program="workers",
        # The one names its process by a number; the other waits for its worker, or finds that it was quicker.
        silent=script not in {"process", "executor"},
    )


def _together(
    name: str, function: str, line_text: str, error: tuple[str, str] = ("ZeroDivisionError", "division by zero")
) -> Case:
    """In a task or a thread beside others."""
    return Case(
        f"together_{name}",
        ("{python}", f"{name}.py"),
        type=error[0],
        message=error[1],
        file=f"{name}.py",
        function=function,
        line_text=line_text,
        program="together",
        silent=name != "background",  # two threads write
    )


def _has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)


CASES = (
    _ends("handler", 3),
    _ends("system_exit", 1),
    _ends("os_exit", 5),
    _ends("thread", 6),
    _ends("hook", 1),
    Case(
        "ends_code",
        ("{python}", "ends.py", "code"),
        file="ends.py",
        function="<module>",
        line_text="sys.exit(globals()[sys.argv[1]]())",
        exit=4,
        program="ends",
    ),
    Case(
        "ends_recursion",
        ("{python}", "ends.py", "recursion"),
        type="RecursionError",
        message="maximum recursion depth exceeded",
        file="ends.py",
        function="walk",
        line_text='return walk({"parent": node})',
        program="ends",
    ),
    Case(
        "exception_group",
        ("{python}", "tasks.py"),
        type="ExceptionGroup",
        message="unhandled errors in a TaskGroup (<n> sub-exceptions)",
        file="tasks.py",
        function="fetch_all",
        line_text="async with asyncio.TaskGroup() as group:",
        program="ends",
    ),
    _together("gather", "price", "return 100 / (number - 2)"),
    _together("futures", "price", "return 100 / (number - 2)"),
    _together("background", "work", 'answers.put({}["total"])', ("KeyError", "'total'")),
    _works("pool"),
    _works("executor"),
    _works("process"),
    _works("parallel", "parallel.py"),
    Case(
        "child_of_python",
        ("{python}", "parent.py"),
        type="subprocess.CalledProcessError",
        message="Command '['<path>', 'child.py']' returned non-zero exit status <n>.",
        file="parent.py",
        function="run",
        line_text="subprocess.run([sys.executable, script], check=True)",
        program="parent",
    ),
    Case(
        "click_error",
        ("{python}", "tool.py", "--", "-2"),
        type="click.exceptions.ClickException",
        message="a rate is positive, not -<n>",
        file="tool.py",
        function="convert",
        line_text='raise click.ClickException(f"a rate is positive, not {rate}")',
        program="tools",
    ),
    Case(
        "rich_traceback",
        ("{python}", "pretty.py"),
        type="FileNotFoundError",
        message="[Errno <n>] No such file or directory: 'rates.csv'",
        file="pretty.py",
        function="load",
        line_text="with open(name) as file:",
        program="tools",
        silent=False,  # a path fills its line, and the two have different ones
    ),
    Case(
        "notebook",
        ("{python}", "-m", "jupyter_core", "execute", "prices.ipynb"),
        type="KeyError",
        message="'elm'",
        file="ipykernel/3511046114.py",
        function="price",
        line_text="return rates[name] * weight",
        needs=lambda: _has("nbclient", "ipykernel", "jupyter_core"),
        silent=False,  # the kernel has a number
    ),
    Case(
        "notebook_in_python",
        ("{python}", "execute.py"),
        type="KeyError",
        message="'elm'",
        file="ipykernel/3511046114.py",
        function="price",
        line_text="return rates[name] * weight",
        program="together",
        needs=lambda: _has("nbclient", "ipykernel"),
        silent=False,
    ),
)
