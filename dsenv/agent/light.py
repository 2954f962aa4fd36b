"""What capture needs of `typing` and `signal` at run time. To load typing takes longer than a store's modules together.

Type checkers take these for typing's own.
"""

from __future__ import annotations

from operator import itemgetter

__all__ = ["TYPE_CHECKING", "NamedTuple", "cast", "signal"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NamedTuple, cast
else:
    try:
        import _signal as signal  # numbers, where the module makes an enumeration of them
    except ImportError:
        import signal

    def cast(kind, value):
        """`value`, whatever it is."""
        return value

    class NamedTuple(tuple):
        """As typing's, made in a tenth of the time. Making one of it takes longer."""

        def __init_subclass__(cls):
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
            for place, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(place)))

        def __new__(cls, *values, **named):
            if named or len(values) != len(cls._fields):
                values = _filled(cls, values, named)
            return tuple.__new__(cls, values)

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            pairs = zip(self._fields, self)
            return "{}({})".format(type(self).__name__, ", ".join("{}={!r}".format(*pair) for pair in pairs))

    def _filled(cls, values, named):
        given = dict(zip(cls._fields, values))
        known = {**cls._defaults, **given, **named}
        if len(values) > len(given) or given.keys() & named.keys() or known.keys() != set(cls._fields):
            raise TypeError("{} has {}, not {} and {}".format(cls.__name__, cls._fields, values, named))
        return [known[name] for name in cls._fields]
