"""`generators`: what an entry may be, and that the group `generator=gan` of conf/ is one."""

from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.params.generators import Generator
from pipeline_lib.params.load import read_entry, read_yaml
from pipeline_lib.params.whole import check_sections


@pytest.fixture
def composed(repository: Path, tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    options = ["generator=gan", "generators.gan.judge=rrfnet56"]
    compose_and_dump(str(path), str(repository / "conf"), None, "config", None, options)
    return path


def test_one_option_gives_generator_anchors_and_score(composed: Path) -> None:
    entry = read_entry("generators", "gan", Generator, composed)
    assert entry.judge == "rrfnet56"
    params = read_yaml(composed)
    assert params["anchors"]["generated"]["from"] == "data/generators/gan/generator.pt"
    assert params["anchors"]["generated"]["network"] == "rrfnet56"
    assert params["scores"]["dam_generated"] == {"kind": "dam", "of": "embed/rrfnet56", "with": "anchors/generated"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"judge": "nobody"}, "nobody"),
        ({"side_px": 30}, "side_px"),
        ({"num_judged": 63}, "num_judged"),
        ({"kind": "gan"}, "kind"),
    ],
)
def test_what_an_entry_may_not_be(change: dict[str, object], named: str, composed: Path, repository: Path) -> None:
    entry = read_yaml(composed)["generators"]["gan"]
    demo = yaml.safe_load((repository / "params.yaml").read_text())
    check_sections({**demo, "generators": {"gan": entry}}, where="a test")
    with pytest.raises(ParamsError, match=named):
        check_sections({**demo, "generators": {"gan": entry | change}}, where="a test")
