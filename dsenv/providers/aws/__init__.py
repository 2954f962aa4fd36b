"""Workstations on Amazon EC2."""
