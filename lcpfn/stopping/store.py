"""The file of a state, which several processes may share: read when another one has changed it, replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcpfn.files import sweep, write

try:
    import fcntl
except ImportError:  # Windows: states are merged there too, but two writes at the same moment are not told apart
    fcntl = None  # type: ignore[assignment]

Mark = tuple[int, int, int]  # what tells one version of a file from the next


class Store:
    """A text file, and which version of it is known here.

    Args:
        path: of the file, which need not exist; a link is followed. What killed processes left beside it is removed.

    Raises:
        ValueError: if there is something else than a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_file():  # a pipe would be waited for, a device never ends
            raise ValueError(f"path must name a file, or nothing yet, got {self.path}, which is no regular file")
        sweep(self.path)
        self._known: Mark | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from the file meanwhile, where the system can; never taken twice by one thread.

        The lock is on the folder: the file itself is another one after each write.
        """
        handle = self._locked()
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)  # which unlocks

    def news(self) -> str | None:
        """The text, if it is another than the one that was read or written here last; None if not, or there is none."""
        if not self.path.exists() or (mark := self._mark()) == self._known:
            return None
        text = self.path.read_text(encoding="utf-8")
        self._known = mark
        return text

    def put(self, text: str) -> None:
        """Replaces the text.

        Raises:
            OSError: if the folder is missing, read-only or full; the old text stays then.
        """
        write(self.path, text)
        self._known = self._mark()

    def _mark(self) -> Mark:
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _locked(self) -> int | None:
        if fcntl is None:
            return None
        try:
            handle = os.open(Path(os.path.realpath(self.path)).parent, os.O_RDONLY)
        except OSError:  # the write will say what is wrong with the folder
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network disks have no locks
            os.close(handle)
            return None
        return handle
