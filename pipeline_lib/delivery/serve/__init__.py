"""The operator's page and API: a verifier kept warm, on the loopback address."""
