"""Five points of a face, as a column."""

import pyarrow as pa

# x0 y0 ... x4 y4: left eye, right eye, nose, mouth corners, left and right as seen in the picture.
LANDMARKS = pa.list_(pa.float32(), 10)
