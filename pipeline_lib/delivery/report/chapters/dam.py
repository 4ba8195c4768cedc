"""DAM: what setting a cosine against a face's neighbourhood changes, and why (Tables 1 to 4, Fig. 1 and 3 to 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.claims.dam import Scored, by_network, cosine_of
from pipeline_lib.delivery.claims.evidence import Evidence, scores_evidence
from pipeline_lib.delivery.report import dam_figures, dam_tables
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.dam_curves import (
    OwnClass,
    Person,
    distance,
    falling_cosines,
    overlap,
    sweep_curves,
    two_people,
)
from pipeline_lib.delivery.report.figures import Curve, roc_figure
from pipeline_lib.delivery.report.html import drawing
from pipeline_lib.delivery.report.inputs import read_curves
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE, read_anchors
from pipeline_lib.matching.scores.shared.table import read_scores
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.anchor_cosines import ANCHOR_COSINES
from pipeline_lib.schemas.anchor_training import ANCHOR_TRAINING

ORDER = 30
TITLE = "DAM"
NEEDS = ("verify", "anchors", "scores")
NUM_RESAMPLES, SEED = 300, 0
PARTS = {"r": "DAM-R", "l": "DAM-L", "z": "z-norm", "t": "t-norm", "s": "s-norm"}  # of kinds dam and cohort
SCORED = {"cosine": "cosine", "dam_r": "DAM-R", "dam_l": "DAM-L"}  # of all pairs
SPLITS = ("test", "val")  # where two people are looked for


@dataclass(frozen=True)
class AnchorFiles:
    """What build_anchors left of one entry: figures, the fall of cosines, training images and their class; None where absent."""

    metrics: Mapping[str, Any]
    falling: Mapping[str, np.ndarray] | None
    own_class: OwnClass | None


@dataclass(frozen=True)
class Dam:
    """The pair scores, accuracies by protocol and column, anchors by name, two people by network, all pairs by entry."""

    evidence: Evidence
    scores: pa.Table
    accuracies: Mapping[str, Mapping[str, float]]
    anchors: Mapping[str, AnchorFiles]
    people: Mapping[str, tuple[str, tuple[Person, Person]]]
    all_pairs: Mapping[str, tuple[Mapping[str, Mapping[str, float]], Mapping[str, Curve]]]


def read(data: Path) -> Dam | None:
    """None where no score is of kind dam.

    Raises:
        DataError: a file is missing or damaged.
    """
    scores = read_scores(data / "verify" / "scores.parquet")
    metrics = read_json(data / "verify" / "metrics.json")
    rates = {
        float(key[4:]) for by_score in metrics.values() for row in by_score.values() for key in row if _is_tar(key)
    }
    evidence = scores_evidence(data, scores, NUM_RESAMPLES, SEED, sorted(rates))
    entries = by_network(evidence, "dam")
    if not entries:
        return None
    accuracies = {
        protocol: {name: float(row["accuracy_mean"]) for name, row in by_score.items()}
        for protocol, by_score in metrics.items()
    }
    anchors = {name: _read_anchors(data / "anchors" / name, about.scale) for name, about in evidence.anchors.items()}
    people = {network: _people(data, network, found[0]) for network, found in entries.items()}
    return Dam(
        evidence,
        scores,
        accuracies,
        anchors,
        {network: found for network, found in people.items() if found is not None},
        {
            path.parent.name: (read_json(path), _curves(path))
            for path in sorted((data / "all_pairs").glob("*/metrics.json"))
        },
    )


def show(found: Dam, about: About) -> dict[str, object]:
    """A section a network, and what is of no single one."""
    named = {name: each for name, each in found.all_pairs.items() if name in about.params.all_pairs}
    return {
        "networks": [
            _network(found, network, entries) for network, entries in by_network(found.evidence, "dam").items()
        ],
        "anchors": _anchors_table(found),
        "likeness": _likeness_table(found),
        "all_pairs": {
            name: (_all_pairs_table(rows), drawing(_all_pairs_figure(rows, curves)))
            for name, (rows, curves) in named.items()
        },
    }


def _network(found: Dam, network: str, entries: list[Scored]) -> dict[str, object]:
    evidence, cosine = found.evidence, cosine_of(found.evidence, network)
    columns = {} if cosine is None else {"cosine": cosine}
    for entry in [*entries, *by_network(evidence, "cohort").get(network, [])]:
        form = "" if entry.form == "sum" else f", {entry.form}"
        for part, words in PARTS.items():
            if f"{entry.name}:{part}" in evidence.kinds:
                columns[f"{words}{form} ({entry.name})"] = f"{entry.name}:{part}"
    first = entries[0]
    alike = {
        f"{each.anchors.kind} ({each.anchors_name})": f"{each.name}:r"
        for each in entries
        if (each.form, each.setting) == (first.form, first.setting)
    }
    kinds = columns | alike if len(alike) > 1 else {}
    kinds = {name: column for name, column in kinds.items() if name == "cosine" or name in alike}
    own = found.anchors[first.anchors_name]
    return {
        "name": network,
        "scores": dam_tables.scores_table(evidence, columns, found.accuracies),
        "groups": dam_tables.group_table(found.scores, columns),
        "kinds": dam_tables.scores_table(evidence, kinds) if kinds else None,
        "people": _people_values(found.people.get(network)),
        "sweep": None if cosine is None else _sweep(evidence, network, cosine),
        "own_class": _own_class_values(found, network),
        "falling": None
        if own.falling is None
        else drawing(dam_figures.falling_figure({first.anchors_name: own.falling})),
    }


def _people_values(found: tuple[str, tuple[Person, Person]] | None) -> dict[str, object] | None:
    if found is None:
        return None
    split, (first, second) = found
    gaps = [distance(first.genuine[place], second.genuine[place]) for place in (0, 1)]
    return {"split": split, "picture": drawing(dam_figures.people_figure((first, second))), "gaps": gaps}


def _sweep(evidence: Evidence, network: str, cosine: str) -> dict[str, object] | None:
    """The first sweep of a network."""
    for entry in by_network(evidence, "dam_sweep").get(network, []):
        curves = {varied: sweep_curves(evidence, entry.name, cosine, varied) for varied in ("k", "s", "a")}
        drawn = {varied: each for varied, each in curves.items() if each}
        if drawn:
            scale, num_neighbours = entry.setting
            own = {"k": float(num_neighbours), "s": scale}
            return {"name": entry.name, "picture": drawing(dam_figures.sweep_figure(drawn, own))}
    return None


def _own_class_values(found: Dam, network: str) -> dict[str, object] | None:
    """Of the first anchors of a network that know their images' own class."""
    for name, about in found.evidence.anchors.items():
        own = found.anchors[name].own_class
        if about.network == network and own is not None:
            low, high = own.segments()
            shares = [overlap(values[low], values[high]) for values in (own.cosines, own.normalised)]
            return {"name": name, "picture": drawing(dam_figures.own_class_figure(own)), "overlaps": shares}
    return None


def _anchors_table(found: Dam) -> Table:
    columns = ("anchors", "kind", "network", "k", "s", "number", "mean G", "deviation of G", "error of DAM-L")
    rows = []
    for name, about in found.evidence.anchors.items():
        metrics = found.anchors[name].metrics
        figures = (f"{metrics[key]:.3f}" for key in ("lid_mean", "lid_std", "lid_rmse"))
        words = (name, about.kind, about.network, str(about.num_neighbours), f"{about.scale:g}")
        rows.append((*words, f"{metrics['num_anchors']:,}", *figures))
    return Table(columns, tuple(rows), (False,) * len(rows), num_words=3)


def _likeness_table(found: Dam) -> Table | None:
    """P(G of a pair's face above that of a training face), anchors by protocol; None where no anchors say it."""
    said = {name: each.metrics["likeness"] for name, each in found.anchors.items() if each.metrics.get("likeness")}
    protocols = list(dict.fromkeys(protocol for each in said.values() for protocol in each))
    rows = tuple(
        (name, *(f"{each[protocol]['auc']:.3f}" if protocol in each else NO_FIGURE for protocol in protocols))
        for name, each in said.items()
    )
    return Table(("anchors", *protocols), rows, (False,) * len(rows), num_words=1) if rows else None


def _all_pairs_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    scores = [name for name in SCORED if name in rows]
    tars = sorted({key for row in rows.values() for key in row if _is_tar(key)}, key=lambda key: -float(key[4:]))
    cells = [(SCORED[name], *(f"{100 * rows[name][key]:.2f}" for key in tars)) for name in scores]
    best = {
        (place, 1 + column)
        for column, key in enumerate(tars)
        for place, name in enumerate(scores)
        if rows[name][key] == max(rows[each][key] for each in scores)
    }
    counts = tuple(f"{rows[name]['num_genuine']:,} + {rows[name]['num_impostor']:,}" for name in scores)
    whole = tuple((*row, count) for row, count in zip(cells, counts, strict=True))
    head = ("score", *(f"TAR@FAR {float(key[4:]):g}" for key in tars), "pairs")
    return Table(head, whole, (False,) * len(whole), num_words=1, best=frozenset(best))


def _all_pairs_figure(rows: Mapping[str, Mapping[str, float]], curves: Mapping[str, Curve]) -> bytes:
    return roc_figure(curves, int(max(row["num_impostor"] for row in rows.values())))


def _curves(metrics: Path) -> dict[str, Curve]:
    found = read_curves(metrics.with_name("roc.csv"), ("score",), "far", "tar")
    return {SCORED[score]: curve for (score,), curve in found.items()}


def _read_anchors(folder: Path, scale: float) -> AnchorFiles:
    metrics, cosines, training = (
        read_json(folder / "metrics.json"),
        folder / "cosines.parquet",
        folder / "training.parquet",
    )
    falling = own_class = None
    if cosines.is_file():
        table = read_table(cosines, ANCHOR_COSINES)
        falling = falling_cosines(*(table[name].to_numpy() for name in ("rank", "cosine")))
    if training.is_file():
        table = read_table(training, ANCHOR_TRAINING)
        table = table.filter(pc.is_valid(table["own_probability"]))
        if table.num_rows:
            names = ("own_cosine", "own_probability", "log_lid")
            cosine, probability, lid = (table[name].to_numpy().astype(np.float64) for name in names)
            own_class = OwnClass(cosine, probability, scale * cosine - lid)
    return AnchorFiles(metrics, falling, own_class)


def _people(data: Path, network: str, entry: Scored) -> tuple[str, tuple[Person, Person]] | None:
    """Two people of the first split that has such, with the anchors of an entry."""
    folder = data / "embed" / network
    if not folder.is_dir():
        raise DataError("The embeddings of a scored network are missing.", got=network, where=folder)
    store, anchors = read_embeddings(folder), read_anchors(data / "anchors" / entry.anchors_name / ANCHORS_FILE)
    scale, num_neighbours = entry.setting
    splits, identities = np.array(list(store.splits), object), np.array(list(store.identities), object)
    for split in SPLITS:
        rows = np.flatnonzero(splits == split)
        if len(rows):
            owners = np.unique(identities[rows], return_inverse=True)[1].astype(np.int64)
            people = two_people(store.vectors[rows], owners, anchors.vectors, num_neighbours, scale)
            if people is not None:
                return split, people
    return None


def _is_tar(key: str) -> bool:
    return key.startswith("tar@") and not key.endswith(("_low", "_high"))
