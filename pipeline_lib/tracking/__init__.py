"""MLflow runs, lineage and system metrics."""
