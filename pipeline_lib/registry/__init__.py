"""MLflow: runs, the registered verifier, promotion."""
