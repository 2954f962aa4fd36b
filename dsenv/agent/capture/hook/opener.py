"""Stands before functions of other modules, so that nothing but what happens beforehand is different."""

import os

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable


class Opener:
    """Stands for `real`. Not a function, so that it does not become a method as a class's attribute."""

    def __init__(self, real: "Callable[..., Any]", before: "Callable[..., None]") -> None:
        self.__wrapped__ = real
        self._before = before
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__
        self.__module__ = real.__module__
        self.__text_signature__ = getattr(real, "__text_signature__", None)

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        try:
            self._before(*args, **kwargs)
        except (TypeError, ValueError, OSError):
            pass  # arguments that the real one refuses, in its own words
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> str:
        return self.__name__


def stand_before(module: "Any", name: str, before: "Callable[..., None]") -> None:
    """Let `before` see the arguments of a function of `module` before it does."""
    real = getattr(module, name)
    ours = Opener(real, before)
    known_as(real, ours)
    setattr(module, name, ours)


def known_as(real: "Any", ours: "Any") -> None:
    """Programs ask whether a function of `os` is in these sets: `shutil.rmtree` for one, whether links are safe."""
    for name in ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks"):
        known: "Any" = getattr(os, name, ())
        if real in known:
            known.add(ours)
