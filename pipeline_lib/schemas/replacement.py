"""The patch benchmark, by pair."""

import pyarrow as pa

# One row a pair whose image A was patched (why/faithfulness/patched_pairs.py); all entries of a network have the same pairs and
# patches. `identity_a`, `identity_b`: who is on them, for resampling people. `method`: the entry of params.explanations.
# `stranger`: the image that a genuine pair's patches are from; null for an impostor pair, whose patches are from image B.
# `threshold`: the cosine that decides, of the equal error rate of the protocol's clean pairs. `clean_score`: before patching.
# `scores`: after 0, 5, ..., 100 % of all pixels of A were up for return to the clean image, in the order of the method's map.
REPLACEMENT = pa.schema(
    [
        ("protocol", pa.string()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("identity_a", pa.string()),
        ("identity_b", pa.string()),
        ("genuine", pa.bool_()),
        ("method", pa.string()),
        ("stranger", pa.string()),
        ("threshold", pa.float64()),
        ("clean_score", pa.float64()),
        ("scores", pa.list_(pa.float64(), 21)),
    ]
)
