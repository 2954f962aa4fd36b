"""Commands of the form `dsenv VERB [OPTIONS] [WORDS] -- CMD...`: what stands behind `--` is somebody else's."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_KEY = "dsenv.command"


class DashCommand(TyperCommand):
    """Takes `--` and all behind it off the command line before it is read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_KEY] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)


def behind(context: Any) -> list[str] | None:
    """The words behind `--`; None when there is no `--`."""
    words: list[str] | None = context.meta.get(_KEY)
    return words
