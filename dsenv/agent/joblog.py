"""A job's output on disk: records that are whole or absent, and an end for which there is always room."""

from __future__ import annotations

import os

from dsenv.agent import protocol
from dsenv.agent.jobs import Job

_BLOCK = 1 << 16
_RESERVE = 1 << 16


class Log:
    """The job's output on disk. A full disk must not end the job: what does not fit is counted, not kept."""

    def __init__(self, job: Job) -> None:
        self._path = job.log
        self._reserve = os.path.join(job.folder, "reserve")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = 0
        self.dropped = 0
        with open(self._reserve, "wb") as out:
            out.write(b"\0" * _RESERVE)

    def append(self, record: bytes) -> bool:
        """Add one record whole, or nothing of it."""
        view = memoryview(record)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, self.size)
            return False
        self.size += len(record)
        return True

    def output(self, stream: int, data: bytes) -> None:
        if not self.append(protocol.RECORD.pack(stream, len(data)) + data):
            self.dropped += len(data)

    def close(self, record: bytes) -> None:
        """Add what was dropped, as a line on stderr, and the exit record, for which space was kept."""
        os.unlink(self._reserve)
        if self.dropped:
            self.output(protocol.STDERR, b"dsenv: the disk was full: %d bytes of output are lost\n" % self.dropped)
        self.append(record)

    def read(self, offset: int) -> bytes:
        return os.pread(self._file, min(_BLOCK, max(0, self.size - offset)), offset)
