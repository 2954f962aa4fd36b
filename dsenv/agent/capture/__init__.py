"""`capture -- CMD`: runs a command as if nothing stood in front of it, and leaves a record of the run."""
