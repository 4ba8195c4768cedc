"""How like its first map a method's map stays as the network's weights are shuffled."""

import pyarrow as pa

# One row a pair. `layers`: what was shuffled at each step, from the top of the network down; a step keeps those before it.
# `correlations`: rank correlation of the step's maps with the map of the network as it is; null where one of them is flat or
# there is no map.
SANITY = pa.schema(
    [
        ("protocol", pa.string()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("method", pa.string()),
        ("layers", pa.list_(pa.string())),
        ("correlations", pa.list_(pa.float64())),
    ]
)
