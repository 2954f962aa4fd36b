"""Runs a notebook as papermill does, cell by cell."""

import nbclient
import nbformat

book = nbformat.read("book.ipynb", as_version=4)
nbclient.NotebookClient(book, kernel_name="python3").execute()
