"""Everything params.yaml says, checked before the first stage: sections, kinds, and that the files it names exist."""

from pathlib import Path

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import kind_settings, load_kind
from pipeline_lib.networks.backbones.shared.build import network_spec
from pipeline_lib.networks.heads.shared.settings import head_settings
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.params.load import PARAMS_FILE
from pipeline_lib.params.networks import Network
from pipeline_lib.params.regions import REGION_NAME
from pipeline_lib.params.whole import Params, load_params


def check_params(path: Path = PARAMS_FILE, files: bool = True) -> Params:
    """The parameters, if every stage can take its own.

    Args:
        path: of params.yaml.
        files: whether the checkpoints and weights that it names must exist.

    Raises:
        ParamsError: names file, key, what was found and what is allowed.
    """
    params = load_params(path)
    for number, source in enumerate(params.ingest.sources):
        load_kind("data.sources", source.kind, f"{path}, ingest.sources[{number}].kind")
    for name, network in params.networks.items():
        _check_network(network, f"{path}, networks.{name}", files)
    if params.regions.network is not None:
        sizes = {int(REGION_NAME.fullmatch(name)["size"]) for name in params.regions.positions}  # type: ignore[index]
        for size in sorted(sizes):
            _check_network(params.regions.network, f"{path}, regions.network", files, input_px=size)
    for name, over in params.networks_over.items():
        over_settings(over, f"{path}, networks_over.{name}")
        head_settings(over.head, f"{path}, networks_over.{name}.head")
    for name, score in params.scores.items():
        kind_settings("matching.scores", score.kind, score.own, f"{path}, scores.{name}")
    for name, protocol in params.verify.protocols.items():
        where = f"{path}, verify.protocols.{name}"
        kind_settings("matching.verification.protocols", protocol.kind, protocol.own, where)
    for name, explanation in params.explanations.items():
        kind_settings("why.explanation", explanation.kind, explanation.own, f"{path}, explanations.{name}")
    if params.regions.alone and params.train.shift_px > params.regions.margin_px:
        got, allowed = params.train.shift_px, f"0 to {params.regions.margin_px} (regions.margin_px)"
        raise ParamsError("A random shift is not possible.", got=got, allowed=allowed, where=f"{path}, train.shift_px")
    if files:
        _check_file(params.align.weights_file, f"{path}, align.weights")
    return params


def _check_network(network: Network, where: str, files: bool, input_px: int | None = None) -> None:
    network_spec(network, where) if input_px is None else network_spec(network, where, input_px)
    head_settings(network.head, f"{where}.head")
    if files:
        _check_file(network.checkpoint_file, f"{where}.checkpoint")


def _check_file(path: Path | None, where: str) -> None:
    if path is not None and not path.is_file():
        raise ParamsError("A file that the parameters name does not exist.", got=path, where=where)
