"""WebDataset tars, their index and their exact plan."""
