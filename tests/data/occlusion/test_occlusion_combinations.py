"""Several occlusions on one face, and which combinations there are."""

import numpy as np
import pytest

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import checked
from pipeline_lib.data.occlusion.crop import crop_landmarks
from pipeline_lib.data.occlusion.draw import draw_occlusion, draw_occlusions, image_rng
from pipeline_lib.params.occlude import KINDS, Occlude

LANDMARKS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32)
IMAGE = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
SETTINGS = {"max_query_images": None, "train_share": 0.2, "crop_share": 0.7, "seed": 3}


def alone(image: np.ndarray, kind: str, landmarks: np.ndarray = LANDMARKS) -> tuple[np.ndarray, dict[str, object]]:
    return draw_occlusion(image, landmarks, kind, image_rng(3, "someone", kind), 0.7)


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_what_it_is_alone(kind: str) -> None:
    found = draw_occlusions(IMAGE, LANDMARKS, kind, 3, "someone", 0.7)
    picture, drawn = alone(IMAGE, kind)
    np.testing.assert_array_equal(found.image, picture)
    assert found.drawn == drawn


@pytest.mark.parametrize("kinds", [("mask_surgical", "sunglasses"), ("sunglasses", "mask_cloth"), ("mask_n95", "crop"),
                                   ("mask_cloth", "sunglasses", "crop")])  # fmt: skip
def test_parts_are_drawn_one_after_the_other(kinds: tuple[str, ...]) -> None:
    before = IMAGE.copy()
    found = draw_occlusions(IMAGE, LANDMARKS, "+".join(kinds), 3, "someone", 0.7)
    picture, each = IMAGE, []
    for kind in kinds:
        picture, drawn = alone(picture, kind)
        each.append(drawn)
    np.testing.assert_array_equal(found.image, picture)
    assert found.drawn == {"kind": "+".join(kinds), "each": each}
    box = each[-1].get("box")
    moved = LANDMARKS if box is None else crop_landmarks(LANDMARKS, box, 112)
    np.testing.assert_array_equal(found.landmarks, moved)
    np.testing.assert_array_equal(IMAGE, before)


def test_another_image_is_drawn_on_otherwise() -> None:
    pictures = [draw_occlusions(IMAGE, LANDMARKS, "mask_cloth+crop", 3, name, 0.7).image for name in ("a", "b", "a")]
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["scarf"], "scarf is none of mask_surgical"),
        (["mask_cloth+scarf"], r"mask_cloth\+scarf: scarf is none of"),
        (["mask_cloth+mask_cloth"], "each part may be there once"),
        (["crop+sunglasses"], "crop comes last"),
        (["mask_cloth+"], "an empty part is none of"),
        (["mask_cloth+crop", "crop", "mask_cloth+crop"], r"mask_cloth\+crop: each kind may be there once"),
        (["profile"], "profile is none of"),
        (["patch_swap+mask_cloth"], "patch_swap stands alone"),
        (["template_"], "template_ is none of"),
        (["template_../../x"], "is none of"),
        (["template_own"], "templates is data/none"),
    ],
)
def test_other_combinations_are_refused(kinds: list[str], message: str) -> None:
    with pytest.raises(ParamsError, match=rf"[\s\S]*{message}[\s\S]*params\.yaml, occlude"):
        checked(Occlude, {"kinds": kinds, **SETTINGS}, "params.yaml, occlude")


def test_combinations_are_possible() -> None:
    kinds = [
        "mask_surgical+sunglasses",
        "sunglasses+mask_surgical",
        "mask_cloth+crop",
        "crop",
        "template_own+sunglasses",
    ]
    found = checked(Occlude, {"kinds": [*kinds, "patch_swap"], "templates": "own", **SETTINGS}, "here")
    assert found.kinds == [*kinds, "patch_swap"]
    assert found.training_kinds == kinds
