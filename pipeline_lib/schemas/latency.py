"""What explaining a pair took."""

import pyarrow as pa

# One row an explained pair. `embedding_s`: seconds of embedding both images, patches included where the method needs them;
# `method_s`: seconds of the method alone, given these. `num_forward`, `num_backward`: images that went through the network for
# both, mirrored ones counted.
LATENCY = pa.schema(
    [
        ("protocol", pa.string()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("identity_a", pa.string()),
        ("identity_b", pa.string()),
        ("method", pa.string()),
        ("embedding_s", pa.float64()),
        ("method_s", pa.float64()),
        ("num_forward", pa.int64()),
        ("num_backward", pa.int64()),
    ]
)
