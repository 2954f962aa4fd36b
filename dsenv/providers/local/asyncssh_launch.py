"""Start our own server: the one for machines whose sshd is missing or refuses."""

from __future__ import annotations

import sys

from dsenv.agent.process import Process
from dsenv.providers.local import server
from dsenv.providers.local.layout import Layout

MODULE = "dsenv.providers.local.asyncssh_server"


def start(layout: Layout, port: int) -> Process:
    """Run the server on `port`. Raises ProviderError when it does not come up."""
    # The interpreter's search path is ours, not the session's: a PYTHONPATH here must not be there.
    argv = [sys.executable, "-P", "-m", MODULE, str(layout.folder), str(port)]
    process = server.detach(argv, layout.log, layout.environ())
    server.wait_for_banner(process, port, layout.log)
    return process
