"""The contest on real curves: cases, forecasts of a cell, scores, and what they sum up to."""
