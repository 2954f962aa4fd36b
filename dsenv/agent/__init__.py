"""Runs on workstations and in production. Standard library only, Python 3.9 or newer."""
