"""Waits for the application to have done what it was asked for."""

from __future__ import annotations

import asyncio
import time

from textual.pilot import Pilot

from dsenv.tui.app import DsenvApp

_PATIENCE = 30.0


async def settled(pilot: Pilot[int]) -> None:
    """Until no workflow runs and what it said is in the state. A thread that has ended may have spoken last."""
    app = pilot.app
    assert isinstance(app, DsenvApp)
    deadline = time.monotonic() + _PATIENCE
    while not _is_settled(app):
        assert time.monotonic() < deadline, "the application is still at work"
        await asyncio.sleep(0.02)
        await pilot.pause()
    await pilot.pause()


def _is_settled(app: DsenvApp) -> bool:
    state = app.state
    if app._bridge.busy or app._lister.busy or app._scanner.busy or state.work is not None:
        return False
    scanned = state.details is None or state.details.lines is None or state.lines is not None
    return scanned and bool(state.loaded or state.details or state.problem)
