"""`python -m lcpfn.training` and `lcpfn train`."""

from lcpfn.training.command import main

if __name__ == "__main__":
    raise SystemExit(main())
