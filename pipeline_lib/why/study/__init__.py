"""The study with people (Face-ViT thesis, 5.3.3): printable forms for several methods, their answer key, and a scorer."""
