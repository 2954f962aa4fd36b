"""What the TUI shows, as data: `apply(state, event) -> state`, without textual."""
