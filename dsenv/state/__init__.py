"""Our own files: atomic, versioned, one writer at a time."""
