"""The command `lcpfn`."""

from lcpfn.cli.parser import main

__all__ = ["main"]
