"""Entries of `anchors`, checked before the first stage."""

from pathlib import Path

import pytest
import yaml

from pipeline_lib.check import check_params
from pipeline_lib.core.errors import ParamsError


def written(repository: Path, folder: Path, networks: dict[str, object], **changes: object) -> Path:
    """The demo's parameters with other anchors."""
    document = yaml.safe_load((repository / "params.yaml").read_text())
    document["anchors"]["real"] |= changes
    document["networks"] |= networks
    (folder / "params.yaml").write_text(yaml.safe_dump(document))
    return folder / "params.yaml"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "fake"}, r"no such kind[\s\S]*real[\s\S]*params\.yaml, anchors\.real"),
        ({"colour": "red"}, r"anchors\.real[\s\S]*colour: Extra inputs|colour: Extra inputs[\s\S]*anchors\.real"),
        ({"from": "photographs"}, r"this kind reads no file"),
        ({"kind": "folder"}, r"from is missing"),
        (
            {"kind": "folder", "from": "nowhere/at all"},
            r"does not exist[\s\S]*nowhere/at all[\s\S]*anchors\.real\.from",
        ),
        (
            {"kind": "class_weights", "network": "seer"},
            r"not trained with class weights[\s\S]*head none of networks\.seer",
        ),
    ],
)
def test_a_wrong_entry_is_named(repository: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    seer = {"arch": "dlib_resnet", "embedding_dim": 128, "epochs": 0, "head": {"kind": "none"}}
    networks = {"seer": {**seer, "checkpoint": "data/none", "teacher": "none"}}
    path = written(repository, tmp_path, networks, **changes)
    if "network" in changes:
        document = yaml.safe_load(path.read_text())
        document["scores"]["dam"]["of"] = "embed/seer"
        path.write_text(yaml.safe_dump(document))
    with pytest.raises(ParamsError, match=message):
        check_params(path)


def test_what_a_stage_will_make_need_not_be_there(repository: Path, tmp_path: Path) -> None:
    changes = {"kind": "generated", "from": "data/generated/generator.pt", "latent_dim": 64}
    assert check_params(written(repository, tmp_path, {}, **changes)).anchors["real"].own == {"latent_dim": 64}
    assert check_params(written(repository, tmp_path, {}, kind="class_weights")).anchors["real"].network == "iresnet"
