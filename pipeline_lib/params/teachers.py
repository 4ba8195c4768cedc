"""Section `teachers`: networks whose embeddings of the training images others learn to give."""

from pipeline_lib.params.section import Section


class TeacherEntry(Section):
    """One entry, by a network's name: the training images and their mirror images are embedded. No settings."""
