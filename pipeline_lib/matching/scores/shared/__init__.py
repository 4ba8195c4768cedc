"""What all pair scores share: faces and needs, what an entry reads, tables of columns, scorers on disk."""
