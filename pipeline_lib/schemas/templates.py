"""Templates: several images of one person that a pair compares as one."""

import pyarrow as pa

# One row an image of a template, which has several rows; no template is named as an image is. `media` names the video that
# the image is a frame of, or the image itself.
TEMPLATES = pa.schema(
    [
        ("template", pa.string()),
        ("image_id", pa.string()),
        ("media", pa.string()),
    ]
)
