"""Making locks: the solver's adapter, the standard document, packages that come from no index."""
