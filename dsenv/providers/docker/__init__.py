"""Workstations as containers. The docker SDK is known here and nowhere else."""
