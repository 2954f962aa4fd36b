"""Ways to run commands and move bytes on a machine."""
