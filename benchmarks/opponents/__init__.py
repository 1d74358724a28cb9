"""Methods that forecast curves, each a way of its own; `registry` knows them by name."""
