"""When and where stages run: Prefect flows over the DVC graph."""
