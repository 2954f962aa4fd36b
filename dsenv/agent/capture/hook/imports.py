"""Actions that follow the import of a module."""

import sys

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable, Dict


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
                if spec.loader is not None:
                    _follow(spec.loader, action)
                return spec
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
