"""How a gap of moto is closed: a function takes the place of one of moto's and is handed the one that it replaces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def replaces(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorated function becomes `owner.name`; its first argument is what was there before."""
    before = getattr(owner, name)

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(before)
        def instead(*positional: Any, **named: Any) -> Any:
            return function(before, *positional, **named)

        setattr(owner, name, instead)
        return function

    return install


def refusal(code: str, message: str) -> Exception:
    """An error of EC2, to be raised."""
    from moto.ec2.exceptions import EC2ClientError

    error: Exception = EC2ClientError(code, message)
    return error
