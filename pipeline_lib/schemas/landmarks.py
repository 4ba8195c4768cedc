"""Five points of a face, and its box, as columns."""

import pyarrow as pa

# x0 y0 ... x4 y4: left eye, right eye, nose, mouth corners, left and right as seen in the picture.
LANDMARKS = pa.list_(pa.float32(), 10)
# x0 y0 x1 y1, px.
BOX = pa.list_(pa.float32(), 4)
