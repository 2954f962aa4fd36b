"""The job that fails."""

amounts = {"oak": 3}
print(amounts["elm"])
