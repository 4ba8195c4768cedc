"""What all kinds of anchors share: their file, who may be one, and what is measured with them."""
