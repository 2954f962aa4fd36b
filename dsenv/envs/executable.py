"""The uv that dsenv brings, and its options for package indexes."""

from __future__ import annotations

from collections.abc import Sequence

from dsenv.errors import InstallError


def uv_executable() -> str:
    """The uv that came with dsenv. Raises InstallError when the installation lost it."""
    import uv

    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise InstallError(f"dsenv's own uv is missing: {error}", hint="install dsenv again: ./install.sh") from error


def uv_version() -> str:
    """The version of dsenv's uv."""
    from importlib.metadata import version

    return version("uv")


def index_arguments(indexes: Sequence[str]) -> list[str]:
    """The installer's options for the indexes that a lock names: the first replaces the default unless it is ""."""
    options = [("--extra-index-url" if number else "--index-url", url) for number, url in enumerate(indexes) if url]
    return [word for option in options for word in option]
