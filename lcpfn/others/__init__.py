"""Forecasts that know the other runs of a search: experts, and how well each would have forecast those runs."""
