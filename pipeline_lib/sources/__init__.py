"""Where photographs come from: every source gives one manifest."""
