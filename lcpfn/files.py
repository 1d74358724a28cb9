"""Writing a file in one step: whoever reads meanwhile, or after a crash, finds the old file or the new one, whole."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STALE_S = 24 * 3600.0  # after which a temporary file of another machine is taken to be left over
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"  # a process number means something on one machine alone


def write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Puts data (text as UTF-8) in place of the file at once.

    A link is followed, so that it stays one; the mode of a file that was there is kept.

    Raises:
        OSError: if the folder is missing, read-only or full; the old file is untouched then.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The path of a temporary file for the caller to write, which then takes the place of `path`.

    It is removed if the block raises. It lies in the same folder, since a rename cannot cross disks.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb"):  # with the mode that the user's umask gives to new files
            pass
        yield temporary
        if target.exists():
            os.chmod(temporary, target.stat().st_mode & 0o7777)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())  # else a power cut can leave the new name on missing bytes
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def sweep(path: str | os.PathLike[str]) -> int:
    """How many temporary files of processes that were killed while they wrote `path` have been removed.

    Those of a process that still runs on this machine stay; of another machine, those of the last day.
    """
    target = Path(os.path.realpath(path))
    ours = re.compile(rf"\.{re.escape(target.name)}\.([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}\.tmp")
    removed = 0
    if not target.parent.is_dir():
        return removed
    with os.scandir(target.parent) as entries:
        for entry in entries:
            if (found := ours.fullmatch(entry.name)) is None:
                continue
            try:
                if _alive(found[1], int(found[2]), entry.stat(follow_symlinks=False).st_mtime):
                    continue
                os.unlink(entry.path)
            except OSError:  # another process sweeps too, or may not: nothing that would be worth an error
                continue
            removed += 1
    return removed


def _alive(host: str, process: int, written: float) -> bool:
    """Whether the writer of a temporary file may still be at work."""
    if host != _HOST:
        return time.time() - written < STALE_S
    if process == os.getpid():
        return True  # a thread of ours, perhaps
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # not ours to signal: it lives
        return True
    return True


def _sync(folder: Path) -> None:
    """Makes the rename itself survive a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # folders cannot be opened on Windows
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
