"""What people get: the registered model, the report, the pages."""
