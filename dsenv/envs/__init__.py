"""Specs in, locks out, environments on disk."""
