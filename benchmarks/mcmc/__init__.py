"""The network against MCMC on the prior."""
