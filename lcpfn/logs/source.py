"""Where a log comes from: a file, a pipe, the standard input. What waits for ever or never ends is refused."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

STDIN = "-"
CHUNK = 1 << 16  # bytes that are copied from a pipe at a time
LARGE = 1 << 25  # bytes from which on a text is read in columns that are needed, and progress is worth a line


def is_regular(path: Path) -> bool:
    """Whether a path is, or leads to, a plain file: all that is opened inside a folder."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


@contextmanager
def opened(source: str) -> Iterator[Path]:
    """A plain file or folder with what a source holds; a pipe is read once, into a file that is gone afterwards.

    Errors inside the context name the source, whichever file stands for it.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is a device, a socket, or a pipe into which nobody writes.
    """
    if source != STDIN:
        mode = os.stat(source).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            yield Path(source)
            return
        if not stat.S_ISFIFO(mode):
            kind = "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"
            raise ValueError(f"{source} is {kind}, which may never end: give a file, a folder, or a pipe")
    shown = "standard input" if source == STDIN else source
    with tempfile.TemporaryDirectory(prefix="lcpfn-") as folder:
        path = Path(folder, "stdin" if source == STDIN else Path(source).name)
        with path.open("wb") as file:
            _copy_stdin(file) if source == STDIN else _copy_pipe(source, file)
        try:
            yield path
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), shown)) from None


def _copy_stdin(file: IO[bytes]) -> None:
    buffer = getattr(sys.stdin, "buffer", None)  # a stand-in for the standard input may have text alone
    if buffer is None:
        buffer = io.BytesIO(sys.stdin.read().encode())
    while part := buffer.read(CHUNK):
        file.write(part)


def _copy_pipe(source: str, file: IO[bytes]) -> None:
    """Copies what comes through a pipe for as long as somebody holds its other end."""
    pipe = os.open(source, os.O_RDONLY | os.O_NONBLOCK)  # a blocking open waits for a writer, who may never come
    try:
        while True:
            try:
                part = os.read(pipe, CHUNK)
            except BlockingIOError:  # a writer who has nothing to say yet
                select.select([pipe], [], [])
                continue
            if not part:
                break
            file.write(part)
    finally:
        os.close(pipe)
    if not file.tell():
        raise ValueError(f"{source} is a pipe, and nobody writes into it: start what writes first, or give a file")


_SHOWN: ContextVar[bool] = ContextVar("progress is shown", default=False)


@contextmanager
def progress_shown() -> Iterator[None]:
    """Shows, inside the context, how much of a large file is read, if the standard error is a terminal."""
    token = _SHOWN.set(True)
    try:
        yield
    finally:
        _SHOWN.reset(token)


class Progress:
    """A line in a terminal that tells how much of a large file is read, for commands; a library is silent."""

    def __init__(self, path: Path) -> None:
        self._size = path.stat().st_size
        self._name, self._shown = path.name, -1
        self._watched = _SHOWN.get() and self._size >= LARGE and sys.stderr is not None and sys.stderr.isatty()

    def at(self, done: int) -> None:
        """Says that so many bytes are read."""
        percent = min(100, 100 * done // max(1, self._size))
        if self._watched and percent > self._shown:
            self._shown = percent
            bar = "#" * (percent // 4)
            end = "\n" if percent == 100 else ""
            print(f"\r{self._name}: [{bar:<25}] {percent:3} %", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Says that all is read."""
        self.at(self._size)
