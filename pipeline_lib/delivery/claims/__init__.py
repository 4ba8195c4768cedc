"""What the papers claim, and what a run's tables say of it: one file a paper, one function a claim."""
