"""Our own SSH server for the embedded workstation: `python -m dsenv.providers.local.asyncssh_server FOLDER PORT`.

It behaves as the system's sshd does with our configuration: public key only, every session in the workstation's
HOME, commands through /bin/sh, terminals, signals, environment, and connections to ports of this machine.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from contextlib import suppress
from pathlib import Path

import asyncssh

from dsenv.providers.local.layout import Layout, current_user

_BLOCK = 1 << 16
_PASSED = ("LANG", "LC_")


class _Server(asyncssh.SSHServer):
    """One connection: only this user, only by key, and forwarding to where sessions could connect anyway."""

    def begin_auth(self, username: str) -> bool:
        return True

    def validate_user(self, username: str) -> bool:
        """Whether the connection is for the user we run as."""
        return username == current_user()

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


class Session:
    """One command or shell of a connection."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes], layout: Layout) -> None:
        self._process = process
        self._layout = layout
        self._child: asyncio.subprocess.Process | None = None
        self._master: int | None = None

    async def run(self) -> None:
        """Start it, move its bytes, and tell the client how it ended."""
        if self._process.get_terminal_type():
            await self._on_terminal()
        else:
            await self._on_pipes()
        assert self._child is not None
        code = await self._child.wait()
        if code >= 0:
            self._process.exit(code)
        else:
            self._process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))

    def _argv(self) -> list[str]:
        command = self._process.command
        if command is None:
            return [os.environ.get("SHELL", "/bin/sh"), "-l"]
        return ["/bin/sh", "-c", command]

    def _environ(self) -> dict[str, str]:
        sent = {name: value for name, value in self._process.env.items() if name.startswith(_PASSED)}
        values = {**self._layout.environ(), **sent, "SSH_CONNECTION": "127.0.0.1 0 127.0.0.1 0"}
        terminal = self._process.get_terminal_type()
        return {**values, "TERM": terminal} if terminal else values

    async def _on_pipes(self) -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *self._argv(),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self._layout.home,
            env=self._environ(),
            start_new_session=True,
        )
        self._child = child
        assert child.stdin and child.stdout and child.stderr
        feeding = asyncio.ensure_future(self._feed(child.stdin))
        await asyncio.gather(_pump(child.stdout, self._process.stdout), _pump(child.stderr, self._process.stderr))
        await child.wait()
        feeding.cancel()

    async def _feed(self, target: asyncio.StreamWriter) -> None:
        while True:
            try:
                data = await self._process.stdin.read(_BLOCK)
            except asyncssh.SignalReceived as received:
                self._signal(received.signal)
                continue
            except asyncssh.BreakReceived:
                continue
            except (asyncssh.Error, OSError):
                break
            if not data:
                break
            try:
                target.write(data)
                await target.drain()
            except OSError:
                return  # the command reads no more
        with suppress(OSError):
            target.close()

    async def _on_terminal(self) -> None:
        master, slave = os.openpty()
        self._master = master
        self._resize(*self._process.get_terminal_size()[:2])
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._argv(),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=self._layout.home,
                env=self._environ(),
                start_new_session=True,
                preexec_fn=_take_terminal,
            )
        finally:
            os.close(slave)
        typing = asyncio.ensure_future(self._type())
        await self._show()
        await self._child.wait()  # `cat` closes its terminal before it ends: to close ours as well would hang it up
        typing.cancel()
        os.close(master)
        self._master = None

    async def _type(self) -> None:
        while self._master is not None:
            try:
                data = await self._process.stdin.read(_BLOCK)
            except asyncssh.TerminalSizeChanged as change:
                self._resize(change.width, change.height)
                continue
            except asyncssh.SignalReceived as received:
                self._signal(received.signal)
                continue
            except asyncssh.BreakReceived:
                continue
            except (asyncssh.Error, OSError):
                data = b""
            if not data:
                self._signal("HUP")
                return
            with suppress(OSError):  # nobody has the terminal open any more
                await self._put(data)

    async def _put(self, data: bytes) -> None:
        """Write what was typed, as fast as it is taken. Raises OSError."""
        loop = asyncio.get_running_loop()
        while data and self._master is not None:
            try:
                data = data[os.write(self._master, data[:1024]) :]
                await asyncio.sleep(0)
            except BlockingIOError:
                ready = loop.create_future()
                loop.add_writer(self._master, _wake, ready)
                try:
                    await ready
                finally:
                    loop.remove_writer(self._master)

    async def _show(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._master is not None
        os.set_blocking(self._master, False)
        while True:
            ready = loop.create_future()
            loop.add_reader(self._master, _wake, ready)
            try:
                await ready
            finally:
                loop.remove_reader(self._master)
            try:
                data = os.read(self._master, _BLOCK)
            except BlockingIOError:
                continue
            except OSError:
                return  # the last process left the terminal
            if not data:
                return
            self._process.stdout.write(data)
            with suppress(asyncssh.Error, OSError):
                await self._process.stdout.drain()

    def _resize(self, columns: int, rows: int) -> None:
        if self._master is not None:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _signal(self, name: str) -> None:
        number = getattr(signal, f"SIG{name}", None)
        if self._child is not None and self._child.returncode is None and isinstance(number, signal.Signals):
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def _pump(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(_BLOCK):
        try:
            target.write(data)
            await target.drain()
        except (asyncssh.Error, OSError):
            return  # the client has gone; the command finds its pipe closed


async def serve(layout: Layout, port: int) -> None:
    """Serve until the process is ended, or the task cancelled."""

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            await Session(process, layout).run()
        except OSError as error:
            process.stderr.write(f"dsenv: {error}\n".encode())
            process.exit(127)

    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=_Server,
        server_host_keys=[str(layout.host_key)],
        authorized_client_keys=str(layout.folder / "authorized_keys"),
        process_factory=handle,
        encoding=None,
        line_editor=False,
        keepalive_interval=15,
        keepalive_count_max=8,
        agent_forwarding=False,
        x11_forwarding=False,
        compression_algs=None,
        tcp_keepalive=True,
    )
    try:
        await server.wait_closed()
    finally:
        server.close()


def main(arguments: list[str]) -> int:
    """Serve the workstation at FOLDER on PORT."""
    folder, port = arguments
    # The shell that put us in the background had some of these ignored, and sessions would inherit that. A handler
    # that does nothing keeps us alive as well, and is the default again in every program that we start.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    asyncio.run(serve(Layout(Path(folder)), int(port)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
