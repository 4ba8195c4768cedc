"""Where anchors come from: one file a kind."""
