"""The conformance suite of `dsenv.transports.base.Transport`: subclass it and give it a `transport` fixture.

class TestMine(TransportConformance):
    @pytest.fixture
    def transport(self): ...
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dsenv.errors import TransportError
from dsenv.transports.base import Channel, Pty, Transport, put_compressed

_MEGABYTE = 1 << 20


class TransportConformance:
    """What every transport does. Names of tests are sentences of the contract."""

    @pytest.fixture
    def transport(self) -> Iterator[Transport]:
        """A fresh connection to a machine with sh, cat, env, head and sha256sum."""
        raise NotImplementedError

    @pytest.fixture
    def makes_terminals(self) -> bool:
        """Whether the machine can; where it cannot, asking for one is a TransportError."""
        return True

    def test_large_content_arrives_whole_when_compressed(self, transport: Transport) -> None:
        data = b"0123456789abcdef" * (1 << 17)
        put_compressed(transport, data, "folder/large", mode=0o700)
        assert transport.get("folder/large") == data
        assert transport.run(["test", "-x", "folder/large"]).code == 0

    def test_streams_are_apart_and_unchanged(self, transport: Transport) -> None:
        result = transport.run(["sh", "-c", r"printf 'o\0\377\r\n'; printf 'e\r' >&2"])
        assert (result.code, result.stdout, result.stderr) == (0, b"o\0\xff\r\n", b"e\r")

    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    def test_the_exit_code_is_the_commands(self, transport: Transport, code: int) -> None:
        assert transport.run(["sh", "-c", f"exit {code}"]).code == code

    def test_a_signal_is_128_and_its_number(self, transport: Transport) -> None:
        assert transport.run(["sh", "-c", "kill -TERM $$"]).code == 128 + 15

    def test_a_command_that_is_not_there_is_127(self, transport: Transport) -> None:
        result = transport.run(["no-such-command-here"])
        assert result.code == 127
        assert b"no-such-command-here" in result.stderr

    def test_a_command_that_cannot_be_executed_is_126(self, transport: Transport) -> None:
        transport.put(b"not a program", "plain-file", mode=0o600)
        home = transport.run(["pwd"]).stdout.decode().strip()
        assert transport.run([f"{home}/plain-file"]).code == 126

    @pytest.mark.parametrize(
        "word", ["", " ", "a b", "'", '"', "$HOME", "`id`", "*", "\\", "a\nb", "ä", "-n", ";", "!x"]
    )
    def test_words_arrive_as_they_are(self, transport: Transport, word: str) -> None:
        assert transport.run(["printf", "<%s>", word]).stdout.decode() == f"<{word}>"

    def test_the_environment_is_added(self, transport: Transport) -> None:
        result = transport.run(["sh", "-c", 'printf "%s|%s" "$A" "$B"'], env={"A": "x y", "B": "'$A'"})
        assert result.stdout == b"x y|'$A'"

    def test_commands_start_in_the_home_folder(self, transport: Transport) -> None:
        home = transport.run(["sh", "-c", "cd; pwd -P"]).stdout
        assert transport.run(["pwd", "-P"]).stdout == home
        assert transport.run(["pwd"], cwd="/").stdout == b"/\n"

    def test_megabytes_of_input(self, transport: Transport) -> None:
        data = os.urandom(4 * _MEGABYTE)
        result = transport.run(["sha256sum"], stdin=data)
        assert result.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()

    def test_input_that_nobody_reads(self, transport: Transport) -> None:
        assert transport.run(["true"], stdin=b"x" * (4 * _MEGABYTE)).code == 0

    def test_both_streams_full_at_once(self, transport: Transport) -> None:
        script = "head -c 6000000 /dev/zero >&2 & head -c 6000000 /dev/zero; wait"
        result = transport.run(["sh", "-c", script])
        assert (len(result.stdout), len(result.stderr)) == (6_000_000, 6_000_000)

    def test_output_is_seen_while_it_comes(self, transport: Transport) -> None:
        seen: list[tuple[str, bytes, float]] = []
        begun = time.monotonic()
        result = transport.run(
            ["sh", "-c", "echo early; echo oops >&2; sleep 2; echo late"],
            on_output=lambda stream, data: seen.append((stream, data, time.monotonic() - begun)),
        )
        assert b"".join(data for stream, data, _ in seen if stream == "stdout") == b"early\nlate\n"
        assert b"".join(data for stream, data, _ in seen if stream == "stderr") == b"oops\n"
        assert seen[0][2] < 1.9
        assert result.stdout == b""

    def test_a_time_limit_is_an_error_of_ours(self, transport: Transport) -> None:
        begun = time.monotonic()
        with pytest.raises(TransportError, match="longer than"):
            transport.run(["sleep", "30"], timeout=0.3)
        assert time.monotonic() - begun < 5
        assert transport.run(["echo", "alive"]).stdout == b"alive\n"

    def test_files_there_and_back(self, transport: Transport) -> None:
        data = os.urandom(3 * _MEGABYTE)
        transport.put(data, "new folder/it's a file", mode=0o640)
        assert transport.get("new folder/it's a file") == data
        listed = transport.run(["ls", "-l", "new folder"]).stdout
        assert listed.splitlines()[1].startswith(b"-rw-r-----")
        transport.put(b"", "new folder/it's a file")
        assert transport.get("new folder/it's a file") == b""
        assert len(transport.run(["ls", "-A", "new folder"]).stdout.splitlines()) == 1

    def test_a_file_that_is_not_there(self, transport: Transport) -> None:
        with pytest.raises(TransportError, match="no-such-file"):
            transport.get("no-such-file")
        with pytest.raises(TransportError):
            transport.put(b"x", "/proc/no-such-folder/x")

    def test_a_conversation(self, transport: Transport) -> None:
        with transport.open_channel(["cat"]) as channel:
            channel.send(b"one\n")
            assert channel.receive() == b"one\n"
            channel.send(b"two\n")
            assert channel.receive() == b"two\n"
            channel.send_eof()
            assert channel.receive() == b""
            assert channel.wait() == 0

    def test_a_conversations_errors_are_kept(self, transport: Transport) -> None:
        with transport.open_channel(["sh", "-c", "echo words >&2; exit 4"]) as channel:
            assert channel.receive() == b""
            assert channel.wait() == 4
            assert channel.errors() == b"words\n"

    def test_closing_wakes_a_reader(self, transport: Transport) -> None:
        channel = transport.open_channel(["sleep", "30"])
        timer = threading.Timer(0.2, channel.close)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(TransportError):
            channel.receive()
        assert time.monotonic() - begun < 5
        channel.close()

    def test_a_terminal(self, transport: Transport, makes_terminals: bool) -> None:
        if not makes_terminals:
            with pytest.raises(TransportError):
                transport.open_channel(["true"], pty=Pty("vt100", 91, 17)).wait()
            return
        script = "test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM"
        with transport.open_channel(["sh", "-c", script], pty=Pty("vt100", 91, 17)) as channel:
            output = bytearray()
            while data := channel.receive():
                output += data
            assert channel.wait() == 0
        assert output.split() == [b"17", b"91", b"vt100"]

    def test_a_terminal_that_is_closed_early_hangs_nobody_up(self, transport: Transport, makes_terminals: bool) -> None:
        if not makes_terminals:
            pytest.skip("the machine makes no terminals")
        script = "exec <&- >&- 2>&-; sleep 0.3; exit 5"
        with transport.open_channel(["sh", "-c", script], pty=Pty("dumb", 80, 24)) as channel:
            while channel.receive():
                pass
            assert channel.wait() == 5

    def test_a_terminal_takes_more_than_is_read_at_once(self, transport: Transport, makes_terminals: bool) -> None:
        if not makes_terminals:
            pytest.skip("the machine makes no terminals")
        script = "stty raw -echo; echo ready; sleep 0.3; head -c 300000 | wc -c"
        with transport.open_channel(["sh", "-c", script], pty=Pty("dumb", 80, 24)) as channel:
            output = _until_ready(channel)
            channel.send(b"0123456789" * 30_000)
            while data := channel.receive():
                output += data
            assert channel.wait() == 0
        assert output.split()[-1] == b"300000"

    def test_a_terminal_is_resized_and_interrupts(self, transport: Transport, makes_terminals: bool) -> None:
        if not makes_terminals:
            pytest.skip("the machine makes no terminals")
        script = "trap 'stty size; exit 5' INT; echo ready; while :; do sleep 0.05; done"
        with transport.open_channel(["sh", "-c", script], pty=Pty("vt100", 80, 24)) as channel:
            output = _until_ready(channel)
            channel.resize(123, 45)
            time.sleep(0.2)
            channel.send(b"\x03")
            while data := channel.receive():
                output += data
            assert channel.wait() == 5
        assert b"45 123" in output

    def test_many_at_once(self, transport: Transport) -> None:
        results: list[bytes] = []
        threads = [
            threading.Thread(
                target=lambda i=i: results.append(transport.run(["sh", "-c", f"sleep 0.2; echo {i}"]).stdout)
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(results) == [f"{i}\n".encode() for i in range(8)]

    def test_a_port_is_forwarded(self, transport: Transport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as service:
            threading.Thread(target=_shout, args=(service, 2), daemon=True).start()
            with transport.forward(0, service.getsockname()[1]) as forward:
                for _ in range(2):
                    with socket.create_connection(("127.0.0.1", forward.local_port), 10) as client:
                        client.sendall(b"hello")
                        client.shutdown(socket.SHUT_WR)
                        assert _everything(client) == b"HELLO"
                port = forward.local_port
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", port), 2)

    def test_a_port_where_nobody_listens(self, transport: Transport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as service:
            free = service.getsockname()[1]
        with (
            transport.forward(0, free) as forward,
            socket.create_connection(("127.0.0.1", forward.local_port), 10) as client,
        ):
            client.settimeout(10)
            assert _everything(client) == b""

    def test_a_port_that_is_taken_here(self, transport: Transport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as service:
            _refuses_to_forward(transport, service.getsockname()[1])

    def test_closing_ends_what_waits(self, transport: Transport) -> None:
        timer = threading.Timer(0.3, transport.close)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(TransportError):
            transport.run(["sleep", "30"])
        assert time.monotonic() - begun < 10
        transport.close()
        with pytest.raises(TransportError):
            transport.run(["true"])


def _refuses_to_forward(transport: Transport, port: int) -> None:
    with pytest.raises(TransportError, match=str(port)):
        transport.forward(port, 1)


def _shout(service: socket.socket, times: int) -> None:
    for _ in range(times):
        connection, _ = service.accept()
        with connection:
            connection.sendall(_everything(connection).upper())


def _everything(connection: socket.socket) -> bytes:
    data = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def _until_ready(channel: Channel) -> bytes:
    """What came until the command said that it is ready."""
    output = channel.receive()
    while b"ready" not in output:
        output += channel.receive()
    return output
