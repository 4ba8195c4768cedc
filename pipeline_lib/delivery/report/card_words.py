"""A data card as tables of text and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline_lib.delivery.report.data_card import Card
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table

NOT_SAID = "not stated"
QUANTILE_COLUMNS = {
    "images_per_identity": "images a person",
    "short_side_px": "shorter side, px",
    "brightness": "brightness",
    "sharpness": "sharpness",
    "yaw_deg": "turned, degrees",
}
HOW = (
    "Of each figure: the median, and the range of the middle 90 %. Images a person: aligned ones. Shorter side: of photographs. "
    "Brightness (mean luminance, 0 to 255), sharpness (variance of the Laplacian: higher is sharper, noise counts as sharp) and "
    "turn (from the five landmarks and a mean head: positive with the nose to the picture's right) are of aligned faces, of "
    "{} of them."
)


def sources_table(card: Card) -> Table:
    """One row a source: what it is, and under which terms."""
    rows = tuple(
        (
            f"{source['kind']} {source['path']}".strip(),
            source["split"],
            source["licence"] or NOT_SAID,
            source["about"] or NOT_SAID,
        )
        for source in card["sources"]
    )
    return Table(("source", "split", "licence", "about"), rows, (False,) * len(rows), num_words=4)


def sets_table(card: Card) -> Table:
    """One row a split and source."""
    columns = ("split", "source", "photographs", "aligned", "people", *QUANTILE_COLUMNS.values())
    rows, groups = [], []
    for number, one in enumerate(card["sets"]):
        counts = (str(one[name]) for name in ("num_photographs", "num_aligned", "num_identities"))
        rows.append((one["split"], one["source"], *counts, *(_range(one[name]) for name in QUANTILE_COLUMNS)))
        groups.append(number == 0 or one["split"] != card["sets"][number - 1]["split"])
    return Table(columns, tuple(rows), tuple(groups))


def rejects_table(card: Card) -> Table | None:
    """One row a stage, reason and source, the most frequent first; None where nothing was rejected."""
    rows = [
        (stage, reason, source, number)
        for stage, reasons in card["rejects"].items()
        for reason, sources in reasons.items()
        for source, number in sources.items()
    ]
    rows.sort(key=lambda row: (row[0] != "ingest", -row[3], row[1], row[2]))
    if not rows:
        return None
    texts = tuple((stage, reason, source, str(number)) for stage, reason, source, number in rows)
    return Table(("stage", "reason", "source", "photographs"), texts, (False,) * len(texts), num_words=3)


def overlaps_in_words(card: Card) -> str:
    """What was done about people whom two sources name, and about copies of files."""
    found = card["overlaps"]
    return (
        f"People whom two sources name: {found['overlaps_removed']} were removed from the source that would have had them in "
        f"another split, {found['overlaps_joined']} joined the split that another source fixes. Files with the same bytes: "
        f"{found['copies']} copies were left out."
    )


def how_it_was_looked_at(card: Card) -> str:
    """What the columns of sets_table mean."""
    return HOW.format(sum(one["num_looked_at"] for one in card["sets"] if one["source"] != "all sources"))


def as_markdown(card: Card) -> str:
    """The whole card, for people who read files."""
    rejects = rejects_table(card)
    searched: Mapping[str, Mapping[str, Any]] = card["near_duplicates"]
    parts = [
        "# Data card",
        _markdown(sources_table(card)),
        "## Sets",
        _markdown(sets_table(card)),
        how_it_was_looked_at(card),
    ]
    parts += ["## Left out", overlaps_in_words(card), _markdown(rejects) if rejects else "No photograph was rejected."]
    parts += ["## Near-duplicates", *(in_words(network, figures) for network, figures in searched.items())]
    if not searched:
        parts.append("They were not looked for: no entry of `galleries` has `near_duplicates: true`.")
    return "\n\n".join(parts) + "\n"


def in_words(network: str, figures: Mapping[str, Any]) -> str:
    """What a search for near-duplicates found."""
    kinds = ", ".join(f"{share:.0%} of {kind}" for kind, share in figures["found"].items())
    listed = (
        ""
        if figures["num_listed"] == figures["num_pairs"]
        else f", of which the nearest {figures['num_listed']} are listed"
    )
    return (
        f"By embeddings of {network}, of {figures['num_images']} aligned images: {figures['num_pairs']} pairs of two people or "
        f"of two splits have a cosine of at least {figures['threshold']:.3f}{listed}; of these {figures['num_same_pixels']} are "
        f"alike in their pixels, too, as one photograph is. Of copies made for this the threshold finds {kinds} ones."
    )


def _range(found: Mapping[str, float] | None) -> str:
    if found is None:
        return NO_FIGURE
    return f"{found['median']:.4g}\n{found['low']:.4g} to {found['high']:.4g}"


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "; ") for cell in cells) + " |"

    return "\n".join([line(table.columns), "|---" * len(table.columns) + "|", *(line(row) for row in table.rows)])
