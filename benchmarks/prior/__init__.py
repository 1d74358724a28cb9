"""What priors are worth, and what they lack."""
