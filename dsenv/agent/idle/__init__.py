"""Does a workstation do any work? What keeps it up, and when it switches itself off.

Runs on the workstation as root, once a minute, started by the system's own timer: no laptop, token or server is
needed. It is handed over with the machine's first data, before there is an agent, so it imports nothing of dsenv
but itself.
"""
