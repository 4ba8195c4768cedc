"""One file per DVC stage: params in, declared files in, library call, declared files out."""

import os

# Arrow's own allocator holds 20 MiB that none of its tables needs, of an ingest's 130. It is read when Arrow is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
