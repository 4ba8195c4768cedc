"""Every Parquet table of the pipeline."""
