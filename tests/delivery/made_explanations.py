"""What stage explain would have left of a run that never was: measures that are as good as wanted."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.schemas.blurring import BLURRING
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.latency import LATENCY
from pipeline_lib.schemas.replacement import REPLACEMENT
from pipeline_lib.why.faithfulness.decisions import SHARES

NUM_PEOPLE = 30
THRESHOLD = 0.5


def write_explained(
    data: Path,
    name: str,
    kind: str,
    network: str,
    *,
    insertion: float = 0.5,
    deletion: float = 0.3,
    same_position: dict[str, float] | None = None,
    fpr: tuple[float, float] = (0.5, 0.5),
    fnr: tuple[float, float] = (0.5, 0.5),
    seconds: float = 1.0,
    protocols: Iterable[str] = ("made",),
    num_people: int = NUM_PEOPLE,
) -> None:
    """Write data/explain/<name>, a genuine and an impostor pair a person; areas and times vary about what is wanted.

    Args:
        same_position: by protocol; none for a method without terms.
        fpr, fnr: the share of people whose pair is decided wrongly before, and with anything blurred.
    """
    rng = np.random.default_rng(0)  # the same noise for every entry, as the same pairs would give
    faithfulness, blurring, latency = [], [], []
    for protocol in protocols:
        for person in range(num_people):
            noise = rng.normal(scale=0.02, size=4)
            other = (person + 1) % num_people
            areas = {
                "insertion_auc": insertion + noise[0], "deletion_auc": deletion + noise[1],
                "insertion_grey_auc": 0.5, "deletion_blur_auc": 0.5,
            }  # fmt: skip
            share = None if same_position is None else float(same_position[protocol] + noise[2])
            for genuine, partner, rates in ((True, person, fnr), (False, other, fpr)):
                pair = {"protocol": protocol, "image_a": f"{person}_0", "image_b": f"{partner}_1"}
                people = {"identity_a": str(person), "identity_b": str(partner)}
                wrong = [person < rate * num_people for rate in rates]
                scores = [
                    THRESHOLD if is_wrong != genuine else THRESHOLD - 0.1 for is_wrong in [wrong[0]] + 10 * [wrong[1]]
                ]
                about = {"genuine": genuine, "method": name, "threshold": THRESHOLD}
                blurring.append({**pair, **people, **about, "shares": SHARES, "scores": scores})
                times = {"embedding_s": 0.0, "method_s": seconds * 10 ** noise[3], "num_forward": 4, "num_backward": 0}
                latency.append({**pair, **people, "method": name, **times})
                if genuine:
                    row = {**pair, "identity": str(person), "method": name, **areas, "same_position_share": share}
                    faithfulness.append(row)
    folder = data / "explain" / name
    write_table(folder / "faithfulness.parquet", table_from_rows(faithfulness, FAITHFULNESS), FAITHFULNESS)
    write_table(folder / "blurring.parquet", table_from_rows(blurring, BLURRING), BLURRING)
    write_table(folder / "replacement.parquet", table_from_rows([], REPLACEMENT), REPLACEMENT)
    write_table(folder / "latency.parquet", table_from_rows(latency, LATENCY), LATENCY)
    (folder / "metrics.json").write_text(json.dumps({"kind": kind, "network": network, "settings": {}}))
    (folder / "maps.arrow").touch()
