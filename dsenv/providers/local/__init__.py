"""The embedded workstation: an SSH server on loopback, as the user."""
