"""dsenv: prototype like production, and bring production's failures home."""

__version__ = "0.1.0"
