"""Stopping in the tuners and training loops that people use; each file needs the framework that it is named after."""
