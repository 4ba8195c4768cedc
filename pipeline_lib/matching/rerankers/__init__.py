"""What compares a query with the candidates of stage 1, one file a kind: a name under `rerank` is a module here."""
