"""The network as plain values and one forward pass: config, coordinates, features, weights."""
