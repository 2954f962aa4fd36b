"""JSON without the json package, whose regular expressions take longer to make than a record to write.

What does the work there, in C, does it here. A Python that has it not, or in another form, uses the package.
"""

from __future__ import annotations

from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_WHITE = " \t\n\r"


def dumps(value: Any, *, sort_keys: bool = False) -> bytes:
    """As `json.dumps`, as the ASCII bytes that are stored. Raises TypeError for what JSON has not."""
    if _c is None:
        import json

        return json.dumps(value, sort_keys=sort_keys).encode("ascii")
    encoder = _c.make_encoder({}, _refuse, _c.encode_basestring_ascii, None, ": ", ", ", sort_keys, False, True)
    return "".join(encoder(value, 0)).encode("ascii")


def loads(data: bytes) -> Any:
    """As `json.loads` of UTF-8. Raises ValueError."""
    text = data.decode("utf-8").strip(_WHITE)
    if _scan is None:
        import json

        return json.loads(text)
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    if end != len(text):
        raise ValueError("no JSON")
    return value


def _refuse(value: Any) -> Any:
    raise TypeError("{} is nothing that JSON has".format(type(value).__name__))


class _Context:
    """What the scanner asks for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float  # NaN, Infinity and -Infinity


_c: Any = None
_scan: Any = None
try:
    import _json as _c

    _scan = _c.make_scanner(_Context())
    _c.make_encoder({}, _refuse, _c.encode_basestring_ascii, None, ": ", ", ", False, False, True)
except (ImportError, AttributeError, TypeError):
    _c = _scan = None
