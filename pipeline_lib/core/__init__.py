"""Parameters, table schemas, atomic files, errors, the process world."""
