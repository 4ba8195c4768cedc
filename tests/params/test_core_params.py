"""params.yaml: what is refused, and with which words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.params.load import load_params


@pytest.fixture
def changed(repository: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """A copy of params.yaml after a change."""

    def change(edit: Callable[[Any], None]) -> Path:
        document = yaml.safe_load((repository / "params.yaml").read_text())
        edit(document)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return change


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("align", "min_face_pixel", 40, r"align\.min_face_pixel: Extra inputs"),
        ("align", "detector", "haar", r"align\.detector: Input should be 'dlib'"),
        ("rerank", "alpha", 1.5, r"rerank\.alpha: Input should be less than or equal to 1"),
        ("train", "batch_size", 0, r"train\.batch_size"),
        ("regions", "positions", ["p56_x56_y0"], "p56_x56_y0 is no unique patch position"),
        ("regions", "positions", ["p56_x0_y0", "p56_x0_y0"], "twice"),
        (
            "region_weights",
            "num_bootstrap",
            1,
            r"region_weights\.num_bootstrap: Input should be greater than or equal to 2",
        ),
        ("explain", "networks", ["iresnet"], "iresnet is no rrfnet"),
        ("register", "network", "resnet", "networks does not define"),
    ],
)
def test_a_wrong_value_is_named(changed: Any, section: str, key: str, value: object, message: str) -> None:
    path = changed(lambda document: document[section].__setitem__(key, value))
    with pytest.raises(ParamsError, match=message) as caught:
        load_params(path)
    assert str(path) in str(caught.value)


def test_an_unknown_section_and_a_missing_one_are_named(changed: Any) -> None:
    with pytest.raises(ParamsError, match="allign: Extra inputs"):
        load_params(changed(lambda document: document.__setitem__("allign", {})))
    with pytest.raises(ParamsError, match="verify: Field required"):
        load_params(changed(lambda document: document.pop("verify")))


def test_no_file_and_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="missing"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="no YAML"):
        load_params(tmp_path / "params.yaml")


def test_sections_are_frozen(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.align.min_face_px = 1  # type: ignore[misc]
