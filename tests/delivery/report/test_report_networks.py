"""The networks side by side: what they are in words, and their figures."""

import copy
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rebuild import IMPORTED, NETWORKS, make_about, write_network, write_rebuild

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.delivery.report.chapters import networks
from pipeline_lib.delivery.report.chapters.networks import NetworkFiles, Networks, networks_table
from pipeline_lib.delivery.report.tables import Table


def table_of(found: Networks, **sections: object) -> Table:
    table = networks.show(found, make_about(**sections))["networks"]
    assert isinstance(table, Table)
    return table


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder = tmp_path_factory.mktemp("networks")
    write_rebuild(folder)
    return networks.read(folder)


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
    assert table.rows[1][1].startswith("RRFNet-56, cross5, 40 % masked (zero)")
    assert "1-1-1-1" in table.rows[2][1]
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


def test_imported_ones_and_what_earlier_rebuilds_left(tmp_path: Path) -> None:
    write_network(tmp_path, "published", IMPORTED)
    write_network(tmp_path, "earlier", IMPORTED)
    without = {"regions": {}, "galleries": {}, "rerank": {}, "explanations": {}}
    rows = table_of(networks.read(tmp_path), networks={"published": IMPORTED}, **without).rows
    assert [(row[0], row[2]) for row in rows[1:]] == [("published", "published weights")]


def test_networks_over_others_come_after_them(found: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def words(network: NetworkFiles) -> str:
        return f"a kind of {network.package}"

    monkeypatch.setattr(networks, "_words", words)
    fused = NetworkFiles({}, tmp_path, "networks.over", 5)
    over = {"fused": {"kind": "fusion", "over": ["iresnet"], "epochs": 3, "head": {"kind": "arcface"}}}
    rows = table_of(replace(found, networks={"fused": fused, **found.networks}), networks_over=over).rows
    assert [row[0] for row in rows[1:]] == [*NETWORKS, "fused"]
    assert rows[-1][1:4] == ("a kind of networks.over", "arcface, 3 epochs", "5")


@pytest.mark.parametrize("description", ['{"format": 2}', '{"format": 2, "spec": {"arch": "unheard_of"}}'])
def test_a_description_that_cannot_be_read_is_named(tmp_path: Path, description: str) -> None:
    write_network(tmp_path, "broken", IMPORTED)
    path = tmp_path / "networks/broken/network.json"
    path.write_text(description)
    without = {"regions": {}, "galleries": {}, "rerank": {}, "explanations": {}}
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        table_of(networks.read(tmp_path), networks={"broken": IMPORTED}, **without)
