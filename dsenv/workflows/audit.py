"""Ask the accounts what they hold in dsenv's name, whatever is remembered here, and remove what nothing needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from dsenv.config import load
from dsenv.errors import ProviderError
from dsenv.events import Cancel, Emit, step
from dsenv.models.machine import Resource
from dsenv.providers import registry
from dsenv.providers.base import CanAudit, Provider
from dsenv.workflows.target import in_use


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the accounts hold. `removed` and `failed` are of `fix`; `unasked` has providers that did not answer."""

    resources: list[Resource]
    removed: list[Resource] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)  # id of a resource: why it is still there
    unasked: dict[str, str] = dataclasses.field(default_factory=dict)  # provider: why

    @property
    def orphans(self) -> list[Resource]:
        """What nothing needs and is still there."""
        gone = {(item.provider, item.region, item.kind, item.id) for item in self.removed}
        return [
            item
            for item in self.resources
            if item.orphan and (item.provider, item.region, item.kind, item.id) not in gone
        ]

    @property
    def per_hour(self) -> float:
        """What all of it costs an hour, in US dollars, as far as prices are known."""
        return sum(item.per_hour or 0.0 for item in self.resources if item not in self.removed)


def audit(
    provider: str | None = None,
    regions: Collection[str] = (),
    *,
    emit: Emit,
    cancel: Cancel,
    makers: Mapping[str, Provider] | None = None,
) -> Audit:
    """Ask `provider`, or all that are in use or can be used. Raises ProviderError when the one that is named fails.

    `makers` are the providers by name; default: those that are installed.
    """
    found: list[Resource] = []
    unasked: dict[str, str] = {}
    used = [provider] if provider else in_use(load.load_if_any())
    for name, maker in _auditors(provider, makers).items():
        cancel.check()
        try:
            with step(emit, "audit", f"ask {name}") as note:
                held = _held(maker, regions, needed=name in used)
                note.note = "not in use here" if held is None else f"{len(held)} things"
        except ProviderError as error:
            if provider:
                raise
            unasked[name] = error.message
            continue
        found += held or []
    return Audit(found, unasked=unasked)


def _held(maker: _Auditor, regions: Collection[str], *, needed: bool) -> list[Resource] | None:
    """None where nobody answers, and nobody has to. Raises ProviderError."""
    problems = maker.check()
    try:
        if problems:
            raise ProviderError(problems[0].message, hint=problems[0].hint)
        return maker.audit(regions)
    except ProviderError:
        if needed:
            raise
        return None


def fix(known: Audit, *, emit: Emit, cancel: Cancel, makers: Mapping[str, Provider] | None = None) -> Audit:
    """Remove the orphans that `audit` has found; what cannot be removed is told."""
    removed: list[Resource] = []
    failed: dict[str, str] = {}
    auditors = _auditors(None, makers)
    for item in sorted(known.orphans, key=_order):
        cancel.check()
        try:
            with step(emit, "remove", f"remove {item.kind} {item.id}"):
                auditors[item.provider].remove(item, emit)
        except ProviderError as error:
            failed[item.id] = error.message
        else:
            removed.append(item)
    return dataclasses.replace(known, removed=removed, failed=failed)


# What others hang on goes first: a group cannot be deleted while an instance is in it.
_FIRST = ("instance", "container", "address", "disk", "volume", "snapshot", "image")


def _order(item: Resource) -> int:
    return _FIRST.index(item.kind) if item.kind in _FIRST else len(_FIRST)


class _Auditor(Provider, CanAudit):
    """For the types: a provider that can be audited."""


def _auditors(only: str | None, makers: Mapping[str, Provider] | None) -> dict[str, _Auditor]:
    found = {}
    for name in [only] if only else sorted(makers or registry.names()):
        provider = makers[name] if makers else registry.load(name)
        if isinstance(provider, CanAudit):
            found[name] = provider
        elif only:
            raise ProviderError(f"{only} has no account that could be asked", hint="dsenv ls")
    return found  # type: ignore[return-value]
