"""A photograph of several faces with the one that is meant."""

from dataclasses import dataclass

from pipeline_lib.data.faces.detection.face import Face


@dataclass(frozen=True, eq=False)
class ChosenFace:
    """`picture`: as pictures_in.read_picture takes it. `face`: one of those that Verifier.faces found in it."""

    picture: object
    face: Face
