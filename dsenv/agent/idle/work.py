"""What runs: dsenv's jobs, and notebooks whose kernels are busy."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any, Dict, Iterator, List

from dsenv.agent.idle.people import Reason, is_agent, is_session
from dsenv.agent.idle.table import Process, Table

_ANSWER_SECONDS = 3.0


def jobs(table: Table) -> List[Reason]:
    """Runs that dsenv supervises. One that is a notebook server counts by its kernels alone."""
    found = []
    for process in table:
        if not is_agent(process) or any(is_session(above) for above in table.above(process)):
            continue
        inside = table.below(process)
        if not inside or any(is_notebook_server(one) for one in inside):
            continue
        found.append(Reason("run", _named(inside)))
    return found


def _named(inside: List[Process]) -> str:
    for process in inside:
        if "--run-id" in process.words[:-1]:
            return "run " + process.words[process.words.index("--run-id") + 1]
    return "a session of dsenv: " + inside[0].name


def is_notebook_server(process: Process) -> bool:
    """Whether it is a Jupyter server, by the program that it runs."""
    programs = [os.path.basename(word) for word in process.words[:3]]
    return any(name in ("jupyter-lab", "jupyter-notebook", "jupyter-server") for name in programs) or (
        any(name in ("jupyter", "jupyter_server", "jupyterlab", "notebook") for name in programs)
        and not process.says("kernel")
    )


def kernels(table: Table) -> List[Reason]:
    """Kernels of running Jupyter servers that say that they are busy."""
    found = []
    for process in table:
        if is_notebook_server(process):
            for server in _servers(table, process):
                found += [Reason("kernel", "kernel {} is busy".format(name)) for name in _busy(server)]
    return found


def _servers(table: Table, process: Process) -> Iterator[Dict[str, Any]]:
    """What the server wrote down of itself, in the folder where Jupyter keeps that."""
    for folder in _runtime_folders(table.environ(process)):
        try:
            with open(os.path.join(folder, "jpserver-{}.json".format(process.pid)), encoding="utf-8") as source:
                value = json.load(source)
        except (OSError, ValueError):
            continue
        if isinstance(value, dict):
            yield value


def _runtime_folders(environ: Dict[str, str]) -> List[str]:
    if environ.get("JUPYTER_RUNTIME_DIR"):
        return [environ["JUPYTER_RUNTIME_DIR"]]
    if environ.get("JUPYTER_DATA_DIR"):
        return [os.path.join(environ["JUPYTER_DATA_DIR"], "runtime")]
    data = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME") or "/root", ".local/share")
    return [os.path.join(data, "jupyter/runtime")]


def _busy(server: Dict[str, Any]) -> List[str]:
    """Names of the kernels that work. The server is asked on loopback, whatever its file says."""
    try:
        port = int(server["port"])
        path = str(server.get("base_url") or "/")
    except (KeyError, ValueError):
        return []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        headers = {"Authorization": "token {}".format(server.get("token") or "")}
        connection.request("GET", path + "api/kernels", headers=headers)
        answer = json.loads(connection.getresponse().read(1 << 20))
    except (OSError, ValueError, http.client.HTTPException):
        return []
    finally:
        connection.close()
    kernels = [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []
    return [str(item.get("name", "")) for item in kernels if item.get("execution_state") == "busy"]
