"""The most memory that this process has held."""

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Bytes in memory at the peak.

    Linux counts what a process held before it became another program, so a child of a large parent would answer
    for its parent: /proc tells of this program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Let the peak begin anew at what is held now, where the system can do so (Linux)."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5")
