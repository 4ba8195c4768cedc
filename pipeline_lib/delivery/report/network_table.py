"""The networks side by side, as RRFNet's Tables III and V: what each is, and how well it verifies on every protocol."""

from collections.abc import Mapping

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.report.figures import BASELINE
from pipeline_lib.delivery.report.inputs import Rebuild
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table
from pipeline_lib.params.load import Head, Network


def describe_network(network: Network, head: Head) -> tuple[str, str]:
    """What a network is and what it was trained with, in words.

    Args:
        network: a section of `networks`.
        head: train.head, for networks without their own.
    """
    layers = network.backbone if network.arch == "rrfnet" else network.arch
    if layers == "vit":
        shape = f"vit, {network.depth} layers of {network.heads} heads on {network.token_px} px"
    elif layers == "mobilefacenet":
        shape = layers
    else:
        blocks = network.blocks if isinstance(network.blocks, str) else "-".join(map(str, network.blocks))
        shape = f"{layers} {blocks}, width {network.width:g}"
    if network.arch == "rrfnet":
        masked = f", {100 * network.mask_share:g} % masked ({network.mask_mode})" if network.mask_share else ""
        shape = f"RRFNet-{network.patch_px}, {network.layout}{masked}: {shape}"
    if not network.epochs:
        return shape, "published weights"
    return shape, f"{(network.head or head).kind}, {network.epochs} epochs"


def networks_table(rebuild: Rebuild) -> Table:
    """Accuracy and AUC of each network's plain cosine, a column a protocol (val last), below those of the raw pixels.

    Raises:
        DataError: the figures lack a network on a protocol.
    """
    protocols = sorted(rebuild.verification, key=lambda name: (name == VALIDATION, name))
    rows = [(BASELINE, "cosine of the aligned pixels", NO_FIGURE, NO_FIGURE, *_figures(rebuild, protocols, BASELINE))]
    for name, (shape, training) in rebuild.sections.networks.items():
        size = f"{rebuild.trainings[name].metrics['num_parameters']:,}"
        rows.append((name, shape, training, size, *_figures(rebuild, protocols, f"cosine:{name}")))
    columns = ("network", "what it is", "trained with", "parameters", *(f"{name}, % (AUC)" for name in protocols))
    return Table(columns, tuple(rows), tuple(number == 1 for number in range(len(rows))))


def _figures(rebuild: Rebuild, protocols: list[str], score: str) -> list[str]:
    cells = []
    for protocol in protocols:
        row: Mapping[str, float] | None = rebuild.verification[protocol].get(score)
        if row is None:
            found = sorted(rebuild.verification[protocol])
            raise DataError("The verification figures lack a score.", got=found, allowed=score, where=protocol)
        cells.append(f"{100 * row['accuracy_mean']:.2f} ({row['auc']:.3f})")
    return cells
