"""Actions that follow the import of a module, and our own modules, which are not among the program's."""

import sys
from _thread import RLock

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

_PATIENCE = 1.0  # seconds; a lock that another thread held when this process was forked is never released
_loading = RLock()
_package = sys.modules[__package__ or ""]


class AfterImport:
    """A finder that lets an action follow the import of a few modules. It finds nothing by itself."""

    def __init__(self, actions: "Dict[str, Callable[[Any], None]]") -> None:
        self._actions = actions

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        action = self._actions.pop(name, None)
        if action is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None and not isinstance(spec.loader, type):
                    _follow(spec.loader, action)
                return spec
        self._actions[name] = action
        return None


def _follow(loader: "Any", action: "Callable[[Any], None]") -> None:
    real = loader.exec_module

    def exec_module(module: "Any") -> None:
        real(module)
        try:
            del loader.exec_module
            action(module)
        except Exception:  # noqa: BLE001 - the module is loaded; what we add to it is not the program's concern
            pass

    loader.exec_module = exec_module


def own(name: str) -> "Any":
    """The module `name` beside this one. It is loaded when it is needed, and the program does not see it."""
    known: "Any" = vars(_package).get(name)
    if known is not None:
        return known
    locked = _loading.acquire(timeout=_PATIENCE)
    try:
        return _load(name)
    finally:
        if locked:
            _loading.release()


def _load(name: str) -> "Any":
    package = _package.__name__
    ours = {package: _package, **{m.__name__: m for m in vars(_package).values() if _is_ours(m)}}
    hidden = [key for key in ours if key not in sys.modules]
    full = package + "." + name
    finder = vars(_package).get("finder")  # where our modules are no files
    sys.modules.update(ours)
    if finder is not None:
        sys.meta_path.insert(0, finder)
    try:
        __import__(full)
        return sys.modules[full]
    finally:
        if finder is not None:
            sys.meta_path.remove(finder)
        if package in hidden:
            for key in (full, *hidden):
                sys.modules.pop(key, None)


def _is_ours(value: "Any") -> bool:
    return isinstance(value, type(sys)) and value.__name__.startswith(_package.__name__ + ".")
