"""Folders, dsenv.toml, and where each value came from."""
