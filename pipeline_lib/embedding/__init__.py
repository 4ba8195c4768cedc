"""Images to embeddings and patch maps, and the Arrow store that keeps them."""
