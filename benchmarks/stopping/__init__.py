"""Searches over measured runs, replayed: the tables of runs, the rules, the beliefs they ask, and their scores."""
