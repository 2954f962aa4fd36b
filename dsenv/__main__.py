"""`python -m dsenv` and the `dsenv` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run dsenv; returns the exit code."""
    try:
        from dsenv import fastpath

        code = fastpath.try_run(sys.argv[1:])
        if code is not None:
            return code
        from dsenv.cli.main import main as full
    except KeyboardInterrupt:  # before anything was started
        sys.stderr.write("interrupted\n")
        return 130
    return full()


if __name__ == "__main__":
    sys.exit(main())
