"""What is computed; knows neither Prefect nor DVC, and MLflow only in registry/."""
