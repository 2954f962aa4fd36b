"""The client half of mirroring a project: what changed, what is ignored, what comes back."""
