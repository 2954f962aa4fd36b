"""Makers of workstations, behind one interface."""
