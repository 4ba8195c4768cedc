"""Section `galleries`: networks that queries are identified with."""

from typing import Literal

from pipeline_lib.params.section import Section


class Gallery(Section):
    """One entry, by a network's name: its gallery and its queries are embedded, with patch features.

    `of`: the table that defines the network. `near_duplicates`: also look for photographs that stand under two names or in two
    splits, for which all aligned images are embedded. `landmarks`: also keep each image's 68 landmarks, which the weights lmk of
    a re-ranker of kind emd need; their predictor learned from pictures that are not for commercial use.
    """

    of: Literal["networks", "networks_over"]
    near_duplicates: bool = False
    landmarks: bool = False
