"""Providers by name, from entry points: listed without being imported, loaded one at a time."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from dsenv.errors import ProviderError
from dsenv.providers.base import Provider

GROUP = "dsenv.providers"


def names() -> list[str]:
    """The providers that are installed, sorted. Imports none of them."""
    return sorted(_found())


def load(name: str) -> Provider:
    """One provider. Raises ProviderError for an unknown name, and for a plug-in that cannot be loaded."""
    found = _found()
    if name not in found:
        raise ProviderError(
            f"there is no provider called {name}",
            hint=f"set `provider` in dsenv.toml to one of: {', '.join(sorted(found))}",
        )
    try:
        kind = found[name].load()
    except (ImportError, AttributeError) as error:
        package = found[name].dist
        raise ProviderError(
            f"the provider {name} cannot be loaded: {error}",
            hint=f"install {package.name} again" if package else None,
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Provider)):
        raise ProviderError(f"{found[name].value} is not a provider")
    return kind()


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
