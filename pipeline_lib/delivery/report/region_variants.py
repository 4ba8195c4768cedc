"""The ways in which region weights were fitted, as rows of text."""

from collections.abc import Mapping, Sequence

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, protocols_of
from pipeline_lib.matching.regions.variants import VARIANT as ROW
from pipeline_lib.matching.verification.region_table import VARIANT

PEOPLE = {"train": "training people", "val": "validation people"}


def variants_table(
    rows: Sequence[Mapping[str, str]], metrics: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Table | None:
    """A row a way to fit: what the choice was made by, then AUC and accuracy on each protocol; None without a choice.

    Args:
        rows: of data/verify/regions.csv.
        metrics: of each entry of regions.weights, data/region_weights/<entry>/metrics.json.

    Raises:
        DataError: a row lacks a figure.
    """
    of_variant = [row for row in rows if row["kind"] == VARIANT]
    protocols = protocols_of({row["protocol"] for row in of_variant})
    shown: list[tuple[str, ...]] = []
    groups: list[bool] = []
    best: set[tuple[int, int]] = set()
    try:
        by_name = {(row["score"].rpartition("/")[2], row["protocol"]): row for row in of_variant}
        for entry, found in metrics.items():
            ways = {name.removeprefix(ROW): row for name, row in found.items() if name.startswith(ROW)}
            for number, (name, row) in enumerate(ways.items() if len(ways) > 1 else ()):
                split = name.partition("_")[0]
                held_out = f"{row['held_out_auc']:.4f}", f"{100 * row['held_out_accuracy']:.2f} %"
                judged = [by_name.get((name, protocol)) for protocol in protocols]
                cells = (
                    NO_FIGURE if one is None else f"{float(one['auc']):.4f}, {100 * float(one['accuracy_mean']):.2f} %"
                    for one in judged
                )
                sign = "none below 0" if name != split else "any sign"
                best |= {(len(shown), 2)} if row["chosen"] else set()
                shown.append((entry, PEOPLE[split], sign, *held_out, f"{row['num_negative']:.0f}", *cells))
                groups.append(number == 0)
    except (KeyError, ValueError) as error:
        problem = "The ways to fit region weights lack a figure; rerun fit_region_weights and verify."
        raise DataError(problem, got=repr(error)) from error
    columns = ("weights", "fitted on", "sign", "held-out AUC", "held-out accuracy", "below 0", *protocols)
    return Table(columns, tuple(shown), tuple(groups), 3, frozenset(best)) if shown else None
