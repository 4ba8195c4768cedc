"""The networks side by side: what they are in words, and their figures."""

import copy
from dataclasses import replace

import pytest
from fake_rebuild import EXPLAINED, NETWORKS, POSITIONS, write_rebuild

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.inputs import Rebuild, Sections, read_rebuild
from pipeline_lib.delivery.report.network_table import describe_network, networks_table
from pipeline_lib.params.load import Head, Network

ARCFACE = Head(kind="arcface", scale=64.0, margin=0.5)
UNIFACE = {"kind": "uniface", "scale": 16.0, "margin": 0.0}


@pytest.fixture(scope="module")
def rebuild(tmp_path_factory: pytest.TempPathFactory) -> Rebuild:
    folder = tmp_path_factory.mktemp("networks")
    write_rebuild(folder)
    return read_rebuild(folder, Sections(NETWORKS, POSITIONS, POSITIONS, EXPLAINED, "iresnet", "rrfnet56"))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"arch": "iresnet", "blocks": "r50", "epochs": 30}, ("iresnet r50, width 1", "arcface, 30 epochs")),
        (
            {"arch": "bagnet33", "blocks": [1, 2, 1, 1], "width": 0.125, "epochs": 1, "head": UNIFACE},
            ("bagnet33 1-2-1-1, width 0.125", "uniface, 1 epochs"),
        ),
        ({"arch": "mobilefacenet", "epochs": 0, "checkpoint": "x.ckpt"}, ("mobilefacenet", "published weights")),
        (
            {"arch": "vit", "depth": 20, "heads": 8, "token_px": 8, "epochs": 3},
            ("vit, 20 layers of 8 heads on 8 px", "arcface, 3 epochs"),
        ),
        (
            {"arch": "rrfnet", "patch_px": 56, "layout": "cross5", "mask_share": 0.4, "mask_mode": "zero", "epochs": 2},
            ("RRFNet-56, cross5, 40 % masked (zero): iresnet r18, width 1", "arcface, 2 epochs"),
        ),
        (
            {"arch": "rrfnet", "patch_px": 28, "layout": "all49", "epochs": 2},
            ("RRFNet-28, all49: iresnet r18, width 1", "arcface, 2 epochs"),
        ),
    ],
)
def test_networks_in_words(section: dict[str, object], words: tuple[str, str]) -> None:
    assert describe_network(Network.model_validate(section), ARCFACE) == words


def test_a_row_a_network_in_the_order_of_params_below_the_raw_pixels(rebuild: Rebuild) -> None:
    figures = copy.deepcopy(dict(rebuild.verification))
    for protocol, scores in figures.items():
        for number, score in enumerate(("raw_pixel", "cosine:iresnet", "cosine:rrfnet56")):
            share = (number + 1) / 10 + (protocol == "val") / 100
            scores[score] |= {"accuracy_mean": share, "auc": share + 0.5}
    table = networks_table(replace(rebuild, verification=figures))
    assert table.columns[:4] == ("network", "what it is", "trained with", "parameters")
    assert table.columns[-1] == "val, % (AUC)"
    assert [row[0] for row in table.rows] == ["raw_pixel", *NETWORKS]
    assert table.rows[1][1:3] == NETWORKS["iresnet"]
    assert [row[4] for row in table.rows] == ["10.00 (0.600)", "20.00 (0.700)", "30.00 (0.800)"]
    assert [row[-1] for row in table.rows] == ["11.00 (0.610)", "21.00 (0.710)", "31.00 (0.810)"]


def test_a_network_that_was_not_verified_is_named(rebuild: Rebuild) -> None:
    figures = {protocol: dict(scores) for protocol, scores in rebuild.verification.items()}
    del figures["val"]["cosine:rrfnet56"]
    with pytest.raises(DataError, match=r"(?s)cosine:rrfnet56.*where: val"):
        networks_table(replace(rebuild, verification=figures))
