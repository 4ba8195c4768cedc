"""From images to vectors: networks, their training and their embeddings."""
