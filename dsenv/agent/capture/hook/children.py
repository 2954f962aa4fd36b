"""Our variables for the children that are started with an environment made from `os.environ`."""

import os

from .opener import known_as
from .processes import VARIABLE

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

    from .files import Inputs
    from .processes import Names


def watch(ours: "Dict[str, str]", names: "Names", inputs: "Inputs") -> None:
    """Give our variables to children that are started with an environment made from `os.environ`.

    `inputs` hears what they are told to read.
    """
    import _posixsubprocess

    def with_ours(env: "Any", name: bytes) -> "Dict[Any, Any]":
        found = {os.fsencode(name): os.fsencode(value) for name, value in dict(env).items()}
        path = found.get(b"PYTHONPATH")
        folder = os.fsencode(ours["PYTHONPATH"])
        if path is None or (path != folder and not path.startswith(folder + b":")):
            found[b"PYTHONPATH"] = folder if path is None else folder + b":" + path
        if "PYTHONHASHSEED" in ours:
            found.setdefault(b"PYTHONHASHSEED", ours["PYTHONHASHSEED"].encode())
        found[VARIABLE] = name
        return found

    fork_exec = _posixsubprocess.fork_exec

    def fork_exec_with(*args: "Any") -> "Any":
        if len(args) > 4:
            inputs.named(args[0], args[4])
        name = names.before()
        try:
            # args[5] is the environment as a list of b"name=value", or None for that of the process, which has ours.
            if len(args) > 5 and isinstance(args[5], list):
                pairs = with_ours((item.split(b"=", 1) for item in args[5] if b"=" in item), name)
                args = (*args[:5], [key + b"=" + value for key, value in pairs.items()], *args[6:])
            return fork_exec(*args)
        finally:
            names.after()

    _posixsubprocess.fork_exec = fork_exec_with
    for name in ("execve", "execv", "posix_spawn", "posix_spawnp", "system"):
        real = getattr(os, name, None)
        if real is not None:
            spawner = _Spawner(real, names, inputs, with_ours)
            known_as(real, spawner)
            setattr(os, name, spawner)


class _Spawner:
    def __init__(
        self, real: "Callable[..., Any]", names: "Names", inputs: "Inputs", with_ours: "Callable[..., Any]"
    ) -> None:
        self.__wrapped__ = real
        self._names, self._inputs, self._with_ours = names, inputs, with_ours
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        # What is put in the place of this process is no further child: looking for a program on PATH tries many.
        name = self._names.before(not self.__name__.startswith("exec"))
        if self.__name__ == "system":  # it returns when its child has ended; others need not wait for that
            self._names.after()
            self._inputs.named(["sh", "-c", *args], None)
            return self.__wrapped__(*args, **kwargs)
        self._inputs.named(args[1] if len(args) > 1 else (), None)
        try:
            if len(args) > 2:
                args = (*args[:2], self._with_ours(args[2], name), *args[3:])
            elif "env" in kwargs:
                kwargs = dict(kwargs, env=self._with_ours(kwargs["env"], name))
        except (TypeError, ValueError):
            pass  # the real one says what is wrong with it
        try:
            return self.__wrapped__(*args, **kwargs)
        finally:
            self._names.after()
