"""What runs inside the command's own Python. Nothing here may import dsenv: the files are copied beside the run.

`site.py` is small and runs at every start of a Python; `failure.py` is read then, and compiled only when something fails.
"""
