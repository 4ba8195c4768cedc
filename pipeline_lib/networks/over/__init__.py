"""Networks over frozen networks: one file a kind, with its `Settings`, DESCRIPTION and build(settings, frozen)."""
