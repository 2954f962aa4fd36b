"""Workstations on machines that the user has already."""
