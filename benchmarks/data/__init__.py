"""Readers of measured curves: our Parquet files and the official layouts."""
