"""Train a network as in the LC-PFN paper: its layout, 1,000 bars, values in [0, 1]. Flags are those of `lcpfn train`.

    python benchmarks/opponents/original/train.py --name lcpfn-published --minutes 60 --threads 1

What differs from `lcpfn train` unless a flag says otherwise: the layout, the head, the number of components, the
values, even times alone, questions about values alone; and no alarm, which such a network cannot have.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folders of benchmarks/ are packages

from collections.abc import Sequence

from lcpfn.training.command import main as command
from opponents.original.config import OriginalConfig, UnitCoordinates
from opponents.original.network import network_of

AS_PUBLISHED = ("--components", "1000", "--irregular", "0", "--shares", "1", "0", "0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; the codes of `lcpfn train`."""
    given = sys.argv[1:] if arguments is None else arguments
    return command(
        [*AS_PUBLISHED, *given],  # of a flag that is given twice the last one counts
        model=OriginalConfig,
        coordinates=UnitCoordinates,
        network_of=network_of,
    )


if __name__ == "__main__":
    raise SystemExit(main())
