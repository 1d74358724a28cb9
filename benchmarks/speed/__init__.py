"""How fast answers, training and larger networks are."""
