"""The networks side by side: what they are in words, and their figures."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rebuild import IMPORTED, NETWORKS, make_about, write_network, write_rebuild

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapters import networks
from pipeline_lib.delivery.report.chapters.networks import Networks, describe, networks_table
from pipeline_lib.delivery.report.tables import Table

SHARED = {"embedding_dim": 512, "input_px": 112, "patches": None}


def table_of(found: Networks, **sections: object) -> Table:
    table = networks.show(found, make_about(**sections))["networks"]
    assert isinstance(table, Table)
    return table


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder = tmp_path_factory.mktemp("networks")
    write_rebuild(folder)
    return networks.read(folder)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"arch": "iresnet", "blocks": [3, 4, 14, 3], "width": 1.0}, "iresnet, blocks 3-4-14-3, width 1"),
        (
            {"arch": "bagnet", "blocks": [1, 2, 1, 1], "width": 0.125, "field_px": 33},
            "bagnet, blocks 1-2-1-1, width 0.125, field px 33",
        ),
        ({"arch": "mobilefacenet"}, "mobilefacenet"),
        (
            {"arch": "vit", "depth": 20, "heads": 8, "token_px": 8, "width": 1.0},
            "vit, depth 20, heads 8, token px 8, width 1",
        ),
        (
            {
                "arch": "vit",
                "depth": 2,
                "patches": {"side_px": 56, "layout": "cross5", "mask_share": 0.4, "mask_mode": "zero"},
            },
            "RRFNet-56, cross5, 40 % masked (zero): vit, depth 2",
        ),
        (
            {
                "arch": "iresnet",
                "blocks": [1, 1, 1, 1],
                "patches": {"side_px": 28, "layout": "all49", "mask_share": 0.0, "mask_mode": "drop"},
            },
            "RRFNet-28, all49: iresnet, blocks 1-1-1-1",
        ),
    ],
)
def test_networks_in_words(spec: dict[str, object], words: str) -> None:
    assert describe({**SHARED, **spec}) == words


def test_what_they_were_trained_with(found: Networks) -> None:
    assert [row[2] for row in table_of(found).rows[1:]] == ["arcface, 12 epochs", "uniface, 12 epochs"]


def test_a_row_a_network_in_the_order_of_params_below_the_raw_pixels(found: Networks) -> None:
    figures = copy.deepcopy(dict(found.metrics))
    for protocol, scores in figures.items():
        for number, score in enumerate(("raw_pixel", "cosine:rrfnet56", "cosine:iresnet")):
            share = (number + 1) / 10 + (protocol == "val") / 100
            scores[score] |= {"accuracy_mean": share, "auc": share + 0.5}
    table = table_of(replace(found, metrics=figures), networks=dict(reversed(NETWORKS.items())))
    assert table.columns[:4] == ("network", "what it is", "trained with", "parameters")
    assert table.columns[-1] == "val, % (AUC)"
    assert [row[0] for row in table.rows] == ["raw_pixel", "rrfnet56", "iresnet"]
    assert table.rows[1][1] == "RRFNet-56, cross5, 40 % masked (zero): iresnet, blocks 1-1-1-1, width 0.125"
    assert [row[3] for row in table.rows] == ["–", "12,345", "12,345"]
    assert [row[4] for row in table.rows] == ["10.00 (0.600)", "20.00 (0.700)", "30.00 (0.800)"]
    assert [row[-1] for row in table.rows] == ["11.00 (0.610)", "21.00 (0.710)", "31.00 (0.810)"]


def test_a_network_that_was_verified_on_some_protocols_only_is_named(found: Networks) -> None:
    figures = {protocol: dict(scores) for protocol, scores in found.metrics.items()}
    del figures["val"]["cosine:rrfnet56"]
    with pytest.raises(DataError, match=r"(?s)cosine:rrfnet56.*where: val"):
        table_of(replace(found, metrics=figures))


def test_without_scores_the_networks_are_still_listed(found: Networks) -> None:
    figures = {protocol: {"cosine:iresnet": scores["cosine:iresnet"]} for protocol, scores in found.metrics.items()}
    rows = table_of(replace(found, metrics=figures)).rows
    assert [row[4] for row in rows] == ["–", "70.00 (0.750)", "–"]
    nothing = networks_table(replace(found, metrics={}), make_about().params.networks)
    assert [row[0] for row in nothing.rows] == ["raw_pixel", *NETWORKS]
    assert nothing.columns[-1] == "parameters"


def test_imported_ones_over_others_and_left_overs_of_earlier_rebuilds(tmp_path: Path) -> None:
    write_network(tmp_path, "published", IMPORTED)
    write_network(tmp_path, "earlier", IMPORTED)
    write_network(tmp_path, "fused", {"arch": "fusion", "epochs": 3}, group="_over")
    over = {"fused": {"kind": "fusion", "over": ["published"], "epochs": 3, "head": {"kind": "arcface"}}}
    without = {"regions": {}, "galleries": {}, "rerank": {}, "explanations": {}}
    rows = table_of(networks.read(tmp_path), networks={"published": IMPORTED}, networks_over=over, **without).rows
    assert [row[:3] for row in rows[1:]] == [
        ("published", "mobilefacenet", "published weights"),
        ("fused", "fusion", "arcface, 3 epochs"),
    ]


def test_a_description_without_a_spec_is_named(tmp_path: Path) -> None:
    write_network(tmp_path, "broken", IMPORTED)
    path = tmp_path / "networks/broken/network.json"
    path.write_text('{"format": 2}')
    with pytest.raises(DataError, match=rf"spec[\s\S]*{path}"):
        networks.read(tmp_path)
