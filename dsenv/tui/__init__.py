"""The Textual front end: a view on the workflows, with nothing that they cannot do."""
