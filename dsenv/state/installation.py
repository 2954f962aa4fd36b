"""Which installation of dsenv this is. Two machines may have one name, as those made from one image: not this."""

from __future__ import annotations

import secrets

from dsenv.config import paths
from dsenv.state import store
from dsenv.state.lock import exclusive

_VERSION = 1


def here() -> str:
    """A word that was made by chance, once. Raises StateError."""
    folder = paths.data_dir()
    file = folder / "installation.json"
    if known := store.read(file, version=_VERSION):
        return str(known["id"])
    with exclusive(folder / "installation.lock", what="this installation of dsenv"):
        known = store.read(file, version=_VERSION) or {"id": secrets.token_hex(8)}
        store.write(file, known, version=_VERSION, beside=folder / "installation.new")
    return str(known["id"])
