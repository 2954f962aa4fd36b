"""Regular expressions that are compiled when they are first used.

Capture has a hundred of them and needs a handful for most commands; compiling all takes as long as a Python takes to
start.
"""

from __future__ import annotations

from dsenv.agent.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import re
    from typing import Any, Dict


def lazy(source: str, flags: int = 0) -> "re.Pattern[str]":
    """As `re.compile`. A mistake in `source` shows at its first use."""
    return cast("re.Pattern[str]", _Lazy(source, flags))


def lazy_bytes(source: bytes, flags: int = 0) -> "re.Pattern[bytes]":
    """The same for bytes."""
    return cast("re.Pattern[bytes]", _Lazy(source, flags))


class _Lazy:
    """Becomes the compiled pattern in all but its type: methods are kept here as they are asked for."""

    def __init__(self, source: Any, flags: int) -> None:
        self._made: Dict[str, Any] = {"source": source, "flags": flags}

    def __getattr__(self, name: str) -> Any:
        compiled = self._made.get("compiled")
        if compiled is None:
            import re

            compiled = self._made["compiled"] = re.compile(self._made["source"], self._made["flags"])
        value = getattr(compiled, name)
        setattr(self, name, value)
        return value
