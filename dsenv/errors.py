"""Every error that dsenv raises on purpose.

    DsenvError                      what failed, where, and what to type next
     ├─ UsageError            2     the command or its arguments
     │   ├─ ConfigError             dsenv.toml or a settings file
     │   └─ UnknownRunError              no such run in the store
     ├─ EnvError              3     environments: solve, lock, install
     │   ├─ LockError               resolving, or a lock that cannot be read or is stale
     │   └─ InstallError            putting a lock on disk, or a digest that does not match
     ├─ ProviderError         4     a workstation's maker: auth, capacity, quota
     │   └─ WorkstationNotReadyError     it exists but is stopped, half made or gone
     ├─ TransportError        5     connections
     │   └─ HostKeyError            the machine is not the one we know
     └─ StateError            6     our own files, records and stores: locked, corrupt, unwritable
         ├─ RecordError             a record that is truncated, tampered with or from the future
         └─ StoreError              a store that is missing, full or refuses us

The numbers are the exit codes; `dsenv.cli.diagnostics` is the only place that uses them.
Foreign exceptions are translated into these once, at the edge where the library is called.
"""

from __future__ import annotations


class DsenvError(Exception):
    """Base of the tree.

    `message` says what failed and where, `hint` is the next command or edit, `detail` is evidence
    (the last lines of a tool's output, a list of choices) that is shown indented.
    """

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageError(DsenvError):
    """The command line asks for something that cannot be."""


class ConfigError(UsageError):
    """`dsenv.toml` is absent, malformed or says something unknown."""


class UnknownRunError(UsageError):
    """No run, or more than one, matches the given id."""


class EnvError(DsenvError):
    """An environment could not be captured, locked or installed."""


class LockError(EnvError):
    """A lock could not be made or read."""


class InstallError(EnvError):
    """A lock could not be materialised."""


class ProviderError(DsenvError):
    """A workstation could not be made, found, changed or destroyed."""


class WorkstationNotReadyError(ProviderError):
    """The workstation is stopped, half made, or not there."""


class TransportError(DsenvError):
    """A connection failed or was cut."""


class HostKeyError(TransportError):
    """The machine answered with a host key that is not the pinned one."""


class StateError(DsenvError):
    """Files of ours are locked by someone else, corrupt, or cannot be written."""


class RecordError(StateError):
    """A record of a run is incomplete, was changed, or has an unknown format."""


class StoreError(StateError):
    """A store of records cannot be reached, read or written."""
