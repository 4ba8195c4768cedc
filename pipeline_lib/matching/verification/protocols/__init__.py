"""How a protocol's pairs are judged, one file a kind: Settings, evaluate(values, pairs, rates, settings, is_cosine)."""
