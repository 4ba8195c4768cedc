"""conf/scale/face_vit.yaml, and the sweep over depth and heads that docs/experiments.md shows."""

import re
from itertools import product
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from pipeline_lib.check import check_params
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.over.shared.settings import over_settings

GROUPS = ["data=cfp_lfw", "scale=face_vit"]


def composed(repository: Path, folder: Path, *overrides: str) -> Path:
    out = folder / "params.yaml"
    compose_and_dump(str(out), str(repository / "conf"), None, "config", None, [*GROUPS, *overrides])
    return out


def test_the_documented_sweep_makes_networks_of_every_depth_and_number_of_heads(
    repository: Path, tmp_path: Path
) -> None:
    text = (repository / "docs" / "experiments.md").read_text()
    (line,) = [line for line in text.splitlines() if "networks_over.h2l.depth=" in line]
    assert all(f"-S {group}" in line for group in GROUPS)
    values = {key: found.split(",") for key, found in re.findall(r"networks_over\.h2l\.(depth|heads)=([\d,]+)", line)}
    assert set(values["depth"]) == {"1", "2", "4", "8"}
    found = set()
    for depth, heads in list(product(values["depth"], values["heads"]))[::7]:
        path = composed(repository, tmp_path, f"networks_over.h2l.depth={depth}", f"networks_over.h2l.heads={heads}")
        entry = check_params(path, files=False).networks_over["h2l"]
        settings = over_settings(entry, path)
        assert (settings.depth, settings.heads) == (int(depth), int(heads))
        found.add((settings.depth, settings.heads))
    assert len(found) > 1


def test_a_score_of_two_images_is_of_its_network(repository: Path, tmp_path: Path) -> None:
    path = composed(repository, tmp_path)
    params = yaml.safe_load(path.read_text())
    for key, value, said in (("of", "embed/h2", "embed/h2l"), ("with", "networks_over/h9", "not defined")):
        changed = {**params, "scores": {**params["scores"], "h2l": {**params["scores"]["h2l"], key: value}}}
        path.write_text(yaml.safe_dump(changed))
        with pytest.raises(ParamsError, match=said):
            check_params(path, files=False)
