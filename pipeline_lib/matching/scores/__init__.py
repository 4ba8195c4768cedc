"""Pair scores, one file a kind: Settings, open_columns(settings, reads) -> {part: Scorer}, restore(state) -> Scorer."""
