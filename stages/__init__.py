"""One file per DVC stage: params in, declared files in, library call, declared files out."""
