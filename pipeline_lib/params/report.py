"""Section `report`: the page."""

from pipeline_lib.params.section import NonNegative, Section


class Report(Section):
    """`num_example_pairs`: explained pairs shown for each explanation, at most."""

    num_example_pairs: NonNegative
