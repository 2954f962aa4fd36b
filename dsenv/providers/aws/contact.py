"""The first words with a machine: wait until it answers, and give it a host key that nobody else has seen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from dsenv.errors import HostKeyError, TransportError
from dsenv.events import Emit, Progress
from dsenv.models.machine import Endpoint
from dsenv.providers.aws.saved import Layout, Saved
from dsenv.transports.base import Transport

ANSWER_SECONDS = 300.0
_TRY_SECONDS = 10.0
_ROOT = ("sudo", "-n", "sh", "-c")
# One at a time: a script outlives the connection over which it was started.
_LOCK = """
set -e; umask 077; exec 9>/run/dsenv-host-key.lock; flock 9
next=/etc/ssh/dsenv_next_host_key; key=/etc/ssh/ssh_host_ed25519_key
"""
# Says the key that is to come. One that was put in place already, and that sshd has not read yet, is that key: with
# another one the machine would show, after a crash here and now, a key that nobody has pinned.
NEXT = f"""{_LOCK}
now=$(ssh-keygen -y -P '' -f "$key" | cut -d ' ' -f 1,2)
if [ "$now" != "$1" ] && [ -n "$now" ]; then echo "$now"; exit; fi
if ! [ -s "$next" ] || ! [ -s "$next.pub" ]; then
    rm -f "$next" "$next.pub"; ssh-keygen -q -t ed25519 -N '' -C '' -f "$next"
fi
cat "$next.pub"
"""
# sshd reads the private half alone. It is moved last: until then the same key is found again by a repetition.
_INSTALL = f"""{_LOCK}
if [ -s "$next" ] && [ -s "$next.pub" ]; then
    cp "$next.pub" "$key.pub"; chmod 644 "$key.pub"; cp "$next" "$key.new"; chmod 600 "$key.new"
    sync "$key.new" "$key.pub"; mv -f "$key.new" "$key"; rm -f "$next" "$next.pub"
fi
systemctl reload ssh 2>/dev/null || systemctl reload sshd 2>/dev/null || kill -HUP "$(cat /run/sshd.pid)"
"""


def connect(endpoint: Endpoint, host_keys: tuple[str, ...]) -> tuple[Transport, str]:
    """A connection to a machine that shows one of the pinned keys, and which. Raises HostKeyError, TransportError."""
    from dsenv.transports.ssh import SshTransport

    wrong: HostKeyError | None = None
    for key in host_keys:
        try:
            return SshTransport(dataclasses.replace(endpoint, host_key=key), timeout=_TRY_SECONDS), key
        except HostKeyError as error:
            wrong = error
    raise wrong or HostKeyError(f"no host key of {endpoint.host_key_alias} is known here", hint="dsenv up")


def wait(
    endpoint: Callable[[], Endpoint], host_keys: tuple[str, ...], emit: Emit, *, seconds: float = ANSWER_SECONDS
) -> tuple[Transport, str]:
    """`connect`, tried until it succeeds. A wrong host key ends it at once.

    `endpoint` is asked before each try; it raises ProviderError when the machine is not running any more.
    """
    begun, pause = time.monotonic(), 0.2
    while True:
        try:
            return connect(endpoint(), host_keys)
        except HostKeyError:
            raise
        except TransportError as error:
            passed = time.monotonic() - begun
            hint = "see that the network lets you out to port 22; if your address changed: dsenv up"
            if passed > seconds:
                raise TransportError(
                    f"{error.message} (tried for {passed:.0f} s)",
                    hint=hint if not error.detail else "see to what is said above, then: dsenv up",
                    detail=error.detail,
                ) from error
            emit(Progress("boot", int(passed), 0, "s"))
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def settle(transport: Transport, shown: str, saved: Saved, endpoint: Endpoint) -> Saved:
    """Have the machine make a host key of its own, and pin it instead of the one from user data. Safe to repeat.

    Until the machine was seen with the new key both are accepted. Raises TransportError.
    """
    if saved.rotated:
        return saved
    if len(saved.host_keys) == 1 or shown != saved.host_keys[0]:
        made = transport.run([*_ROOT, NEXT, "sh", shown], timeout=60).check().stdout.decode().split()
        new = " ".join(made[:2])
        saved = saved.but(host_keys=(new, shown))
        transport.run([*_ROOT, _INSTALL], timeout=60).check()
        again, shown = _again(endpoint, saved.host_keys)
        again.close()
        if shown != new:
            raise TransportError(f"{endpoint.host_key_alias} did not take its new host key", hint="dsenv up")
    # First the file: another machine that is made here must not get a host key that this one's users have read.
    Layout.of(saved.identity).first_host_key.unlink(missing_ok=True)
    return saved.but(host_keys=(shown,), rotated=True)


def _again(endpoint: Endpoint, host_keys: tuple[str, ...]) -> tuple[Transport, str]:
    """Connect to an sshd that is reading its keys: it shows the old one for a moment, and may refuse."""
    deadline = time.monotonic() + 20
    while True:
        try:
            transport, shown = connect(endpoint, host_keys)
            if shown == host_keys[0] or time.monotonic() > deadline:
                return transport, shown
            transport.close()
        except HostKeyError:
            raise
        except TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def as_root(transport: Transport, script: str) -> None:
    """Run a shell script as root. Raises TransportError."""
    transport.run(["sudo", "-n", "sh"], stdin=script.encode(), timeout=60).check()
