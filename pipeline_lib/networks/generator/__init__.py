"""A generator of faces of nobody, for anchors: trained against a discriminator on the training faces."""
