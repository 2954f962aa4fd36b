"""Our variables for the children that are started with an environment made from `os.environ`."""

import os

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable, Dict


def watch(ours: "Dict[str, str]") -> None:
    """Give our variables to children that are started with an environment made from `os.environ`."""
    import _posixsubprocess

    def with_ours(env: "Any") -> "Dict[Any, Any]":
        found = {os.fsencode(name): os.fsencode(value) for name, value in dict(env).items()}
        path = found.get(b"PYTHONPATH")
        folder = os.fsencode(ours["PYTHONPATH"])
        if path is None or (path != folder and not path.startswith(folder + b":")):
            found[b"PYTHONPATH"] = folder if path is None else folder + b":" + path
        if "PYTHONHASHSEED" in ours:
            found.setdefault(b"PYTHONHASHSEED", ours["PYTHONHASHSEED"].encode())
        return found

    fork_exec = _posixsubprocess.fork_exec

    def fork_exec_with(*args: "Any") -> "Any":
        # args[5] is the environment as a list of b"name=value", or None for that of the process, which has ours.
        if len(args) > 5 and isinstance(args[5], list):
            pairs = with_ours(item.split(b"=", 1) for item in args[5] if b"=" in item)
            args = (*args[:5], [name + b"=" + value for name, value in pairs.items()], *args[6:])
        return fork_exec(*args)

    _posixsubprocess.fork_exec = fork_exec_with
    for name in ("execve", "posix_spawn", "posix_spawnp"):
        real = getattr(os, name, None)
        if real is not None:
            setattr(os, name, _Spawner(real, with_ours))


class _Spawner:
    def __init__(self, real: "Callable[..., Any]", with_ours: "Callable[[Any], Any]") -> None:
        self.__wrapped__ = real
        self._with_ours = with_ours
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__

    def __call__(self, path: "Any", argv: "Any", env: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        try:
            changed = self._with_ours(env)
        except (TypeError, ValueError):
            changed = env  # the real one says what is wrong with it
        return self.__wrapped__(path, argv, changed, *args, **kwargs)
