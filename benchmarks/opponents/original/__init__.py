"""The network of the LC-PFN paper and what the ablations vary: layout, bars, values in [0, 1]; not in the library."""
