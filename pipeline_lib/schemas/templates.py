"""Templates: several images of one person that a pair compares as one."""

import pyarrow as pa

TEMPLATES_FILE = "templates.parquet"  # beside a table of pairs

# One row an image of a template, which has several rows; no template is named as an image is. `media` names the video that
# the image is a frame of, or the image itself. `weight`: what the image's feature is multiplied with before
# it is averaged with those of its medium: 1, or the detector's score (METHODS, section 1, IJB).
TEMPLATES = pa.schema(
    [
        ("template", pa.string()),
        ("image_id", pa.string()),
        ("media", pa.string()),
        ("weight", pa.float32()),
    ]
)
