"""Fakes, real test servers and conformance suites, for plug-in authors as for ourselves."""
