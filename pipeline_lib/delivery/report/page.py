"""The report of a rebuild: one self-contained page from what the stages left."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.report import figures, strips
from pipeline_lib.delivery.report.html import data_uri, render
from pipeline_lib.delivery.report.inputs import Explained, Rebuild, first_protocol
from pipeline_lib.delivery.report.network_table import networks_table
from pipeline_lib.delivery.report.region_table import regions_table
from pipeline_lib.delivery.report.tables import headline_scores, headline_table, reranking_table
from pipeline_lib.schemas.manifest import SPLITS

BASELINE = figures.BASELINE
METHOD_NAMES = {"own": "RRFNet's own map", "random": "random map"}
NUM_MENDED_SHOWN, NUM_SPOILT_SHOWN = 4, 1

ReadImage = Callable[[str], Any]


@dataclass(frozen=True)
class Provenance:
    """What was run on what: groups of (name, value) lines, the latest run of each stage, and params.yaml's text."""

    groups: Mapping[str, Sequence[tuple[str, str]]]
    runs: Sequence[Mapping[str, str]]
    params_text: str


def build_page(
    rebuild: Rebuild, provenance: Provenance, read_query: ReadImage, read_gallery: ReadImage, num_example_pairs: int
) -> str:
    """The page's HTML.

    Args:
        rebuild: from inputs.read_rebuild.
        provenance: see there.
        read_query, read_gallery: key of an occluded or aligned image -> uint8 (112, 112, 3) RGB.
        num_example_pairs: explained pairs shown for each network, at most.

    Raises:
        DataError: a file lacks a figure that the page shows.
    """
    protocol = first_protocol(rebuild.scores)
    score = f"cosine:{rebuild.sections.registered}"
    found = strips.read_strips(rebuild.ranks.to_pylist())
    chosen = strips.choose_strips(found, NUM_MENDED_SHOWN, NUM_SPOILT_SHOWN)
    values: dict[str, object] = {
        "facts": _facts(rebuild, protocol, score),
        "registered": rebuild.registered,
        "protocol": protocol,
        "headline": headline_table(rebuild.verification),
        "networks": networks_table(rebuild),
        "calibration": _calibration(rebuild, score),
        "histograms": _svg(_histograms(rebuild, protocol, score)),
        "rocs": [(name, _svg(_roc(rebuild, name))) for name in rebuild.roc],
        "regions": regions_table(rebuild.regions, rebuild.region_fits),
        "weight_map": data_uri(rebuild.weight_map),
        "explained": [_explained(item, num_example_pairs) for item in rebuild.explained],
        "reranking": reranking_table(rebuild.reranking),
        "reranked_network": rebuild.sections.reranked,
        "changes": strips.count_changes(found),
        "strips": [(strip, _png(strips.draw_strip(strip, read_query, read_gallery))) for strip in chosen],
        "rejects": rebuild.rejects,
        "losses": _losses(rebuild),
        "trainings": {**rebuild.trainings, **rebuild.region_trainings},
        "data": _data_counts(rebuild),
        "provenance": provenance,
    }
    return render("report.html.j2", values)


def _facts(rebuild: Rebuild, protocol: str, score: str) -> list[tuple[str, str]]:
    by_score = rebuild.verification[protocol]
    for name in (score, BASELINE):
        if name not in by_score:
            raise DataError("The verification figures lack a score.", got=sorted(by_score), allowed=name)
    network = rebuild.sections.registered
    ranked = rebuild.reranking["all"]
    return [
        (f"{100 * by_score[score]['accuracy_mean']:.1f} %", f"accuracy of {network} on {protocol}"),
        (f"{100 * by_score[BASELINE]['accuracy_mean']:.1f} %", "accuracy of raw pixels there"),
        (f"{by_score[score]['auc']:.3f}", f"AUC (raw pixels {by_score[BASELINE]['auc']:.3f})"),
        (
            f"{100 * ranked['cosine']['p_at_1']:.1f} → {100 * ranked['emd_reranked']['p_at_1']:.1f} %",
            f"P@1 of occluded queries, re-ranked ({rebuild.sections.reranked})",
        ),
    ]


def _calibration(rebuild: Rebuild, score: str) -> Mapping[str, Any]:
    if score not in rebuild.calibration:
        raise DataError("The calibration lacks a score.", got=sorted(rebuild.calibration), allowed=score)
    return {"score": score, **rebuild.calibration[score]}


def _histograms(rebuild: Rebuild, protocol: str, score: str) -> bytes:
    rows = np.flatnonzero(np.array(rebuild.scores["protocol"].to_pylist()) == protocol)
    table = rebuild.scores.take(rows)
    genuine = np.array(table["genuine"].to_pylist(), np.bool_)
    shown = {name: table[name].to_numpy().astype(np.float64) for name in (BASELINE, score)}
    thresholds = {name: float(rebuild.calibration[name]["threshold"]) for name in shown if name in rebuild.calibration}
    return figures.score_histograms(shown, genuine, thresholds)


def _roc(rebuild: Rebuild, protocol: str) -> bytes:
    curves = rebuild.roc[protocol]
    # The mean-centred cosines lie on the plain ones to within a line's width; the table has their figures.
    shown = {name: curves[name] for name in headline_scores(curves) if not name.startswith("cosine_centred:")}
    impostors = {int(row["num_impostor"]) for row in rebuild.verification[protocol].values()}
    return figures.roc_figure(shown, max(impostors))


def _explained(item: Explained, num_pairs: int) -> dict[str, object]:
    curves = {
        kind: {METHOD_NAMES.get(method, method): curve for method, curve in methods.items()}
        for kind, methods in item.curves.items()
    }
    areas = []
    for method in dict.fromkeys(item.faithfulness["method"].to_pylist()):
        of_method = np.array(item.faithfulness["method"].to_pylist()) == method
        sums = [item.faithfulness[name].to_numpy()[of_method] for name in ("insertion_auc", "deletion_auc")]
        cells = [f"{values.mean():.4f} ± {values.std():.4f}" for values in sums]
        areas.append((METHOD_NAMES.get(method, method), *cells, str(int(of_method.sum()))))
    return {
        "network": item.network,
        "curves": _svg(figures.faithfulness_figure(curves)),
        "areas": areas,
        "pictures": [(name.partition("_")[2], data_uri(png)) for name, png in item.pictures[:num_pairs]],
        "additivity": item.metrics.get("additivity_max_error"),
    }


def _losses(rebuild: Rebuild) -> list[tuple[str, str]]:
    groups = (("networks", rebuild.trainings), ("region networks", rebuild.region_trainings))
    shown = []
    for title, trainings in groups:
        curves = {name: training.history for name, training in trainings.items() if len(training.history[0])}
        if curves:
            shown.append((title, _svg(figures.loss_figure(curves))))
    return shown


def _data_counts(rebuild: Rebuild) -> list[tuple[str, str, str]]:
    """(what, identities, photographs) by split, then the pairs by protocol."""
    splits, identities = (rebuild.manifest[name].to_pylist() for name in ("split", "identity"))
    photographs = Counter(splits)
    people = Counter(split for split, _ in set(zip(splits, identities, strict=True)))
    return [(split, str(people[split]), str(photographs[split])) for split in SPLITS if photographs[split]]


def _png(image: Any) -> str:
    return data_uri(encode_png(image))


def _svg(data: bytes) -> str:
    return data_uri(data, "image/svg+xml")
