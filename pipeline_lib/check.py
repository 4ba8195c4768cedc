"""Everything params.yaml says, checked before the first stage: sections, kinds, and what later stages would refuse."""

from pathlib import Path

import torch

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.kinds import kind_settings, load_kind
from pipeline_lib.data.faces.detection.build import check_detector
from pipeline_lib.data.occlusion.template import load_templates
from pipeline_lib.matching.anchors.shared.settings import anchor_kind
from pipeline_lib.matching.scores.shared.networks import OfNetworks
from pipeline_lib.networks.backbones.shared.build import build_network, build_over, network_spec
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.settings import HeadSettings, head_settings
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.networks.training.distributed import divides
from pipeline_lib.params.load import PARAMS_FILE, read_yaml
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.networks import Network, Trained
from pipeline_lib.params.regions import REGION_NAME
from pipeline_lib.params.section import NONE
from pipeline_lib.params.whole import Params, load_params
from pipeline_lib.why.explanation.shared.explanation import check_offers

# Stages name them in dvc.yaml, and DVC stops where one is missing; any other table may be absent.
NAMED_IN_DVC = ("shards", "regions.alone", "regions.margin_px")


def check_params(path: Path = PARAMS_FILE, files: bool = True) -> Params:
    """The parameters, if every stage can take its own.

    Args:
        path: of params.yaml.
        files: whether the checkpoints, weights and templates that it names must exist.

    Raises:
        ParamsError: names file, key, what was found and what is allowed.
        DataError: a template cannot be used; see load_templates.
    """
    params = load_params(path)
    _check_named_in_dvc(path)
    for number, source in enumerate(params.ingest.sources):
        load_kind("data.sources", source.kind, f"{path}, ingest.sources[{number}].kind")
    if files:
        _check_file(params.align.weights_file, f"{path}, align.weights")
        load_templates(Path(params.occlude.templates), params.occlude.kinds)
    check_detector(params.align.detector, params.align.weights_file, params.align.min_score)
    _check_networks(params, path, files)
    _check_anchors(params, path, files)
    _check_uses(params, path)
    if params.regions.alone and params.train.shift_px > params.regions.margin_px:
        got, allowed = params.train.shift_px, f"0 to {params.regions.margin_px} (regions.margin_px)"
        raise ParamsError("A random shift is not possible.", got=got, allowed=allowed, where=f"{path}, train.shift_px")
    return params


def _check_named_in_dvc(path: Path) -> None:
    raw = read_yaml(path)
    for name in NAMED_IN_DVC:
        section, _, key = name.partition(".")
        if section not in raw or (key and key not in (raw[section] or {})):
            problem = "A parameter is missing that DVC asks for, even where it says nothing new."
            raise ParamsError(problem, got=f"no {name}", allowed="its default, as conf/config.yaml has it", where=path)


def check_processes(params: Params, machine: Machine) -> None:
    """Raises ParamsError where machine.yaml names a number of processes that cannot share the training batch."""
    train, num = params.train, 1 if machine.processes == "auto" else machine.processes * machine.nodes.count
    if any(entry.epochs for entry in trained(params).values()) and not divides(train, num):
        raise ParamsError(
            "The training batch does not divide into shares and micro-batches of two samples or more.",
            got=f"batch_size {train.batch_size}, micro_batch_size {train.micro_batch_size}, {num} processes",
            allowed="a batch_size that is a multiple of processes and micro_batch_size",
            where="train.batch_size, train.micro_batch_size; processes and nodes.count in machine.yaml",
        )


def trained(params: Params) -> dict[str, Trained]:
    """Every entry that a stage trains, or imports, by its key in params."""
    entries: dict[str, Trained] = {f"networks.{name}": entry for name, entry in params.networks.items()}
    entries |= {f"networks_over.{name}": entry for name, entry in params.networks_over.items()}
    if params.regions.network is not None and params.regions.positions:
        entries["regions.network"] = params.regions.network
    return entries


def _check_networks(params: Params, path: Path, files: bool) -> None:
    for name, network in params.networks.items():
        _check_network(network, f"{path}, networks.{name}", files)
        if network.teacher != NONE:
            names = (name, network.teacher)
            dims = [network_spec(params.networks[one], f"{path}, networks.{one}").embedding_dim for one in names]
            if dims[0] != dims[1]:
                raise ParamsError(
                    "A student gives embeddings of its teacher's length.",
                    got=f"embedding_dim {dims[0]}",
                    allowed=f"{dims[1]}, as {network.teacher}",
                    where=f"{path}, networks.{name}",
                )
    if params.regions.network is not None:
        sizes = {int(REGION_NAME.fullmatch(name)["size"]) for name in params.regions.positions}  # type: ignore[index]
        for size in sorted(sizes):
            _check_network(params.regions.network, f"{path}, regions.network", files, input_px=size)
    for name, over in params.networks_over.items():
        over_settings(over, f"{path}, networks_over.{name}")
    for key, entry in trained(params).items():
        settings = head_settings(entry.head, f"{path}, {key}.head")
        if entry.epochs and params.train.partial_fc_rate is not None and not build_head(settings, 1, 2).is_softmax:
            raise ParamsError(
                f"PartialFC needs a softmax; {settings.kind} has none.",
                got=f"train.partial_fc_rate {params.train.partial_fc_rate}",
                allowed="another head, or train.partial_fc_rate: null",
                where=f"{path}, {key}.head.kind",
            )


def _check_network(network: Network, where: str, files: bool, input_px: int | None = None) -> None:
    network_spec(network, where) if input_px is None else network_spec(network, where, input_px)
    if files:
        _check_file(network.checkpoint_file, f"{where}.checkpoint")


def _check_anchors(params: Params, path: Path, files: bool) -> None:
    for name, entry in params.anchors.items():
        where = f"{path}, anchors.{name}"
        anchor_kind(entry, where)
        if files and not entry.from_.startswith("data/") and not Path(entry.from_).exists():
            raise ParamsError("What anchors are to be made of does not exist.", got=entry.from_, where=f"{where}.from")
        network = trained(params)[f"{entry.of}.{entry.network}"]
        if entry.kind == "class_weights" and not isinstance(head_settings(network.head, where), HeadSettings):
            raise ParamsError(
                "This network is not trained with class weights.",
                got=f"head {network.head.kind} of {entry.of}.{entry.network}",
                allowed="a network with a margin head, or anchors of another kind",
                where=where,
            )


def _check_uses(params: Params, path: Path) -> None:
    columns_of: dict[str, list[str] | None] = {}  # by score: its networks, None for a score of something else
    for name, score in params.scores.items():
        where = f"{path}, scores.{name}"
        settings = kind_settings("matching.scores", score.kind, score.own, where)[1]
        columns_of[name] = None
        if isinstance(settings, OfNetworks):
            embedded = (
                [score.of.removeprefix("embed/")] if "/" in score.of else [*params.networks, *params.networks_over]
            )
            columns_of[name] = embedded if settings.networks is None else settings.networks
            if missing := [network for network in settings.networks or [] if network not in embedded]:
                raise ParamsError(
                    "A network is not embedded.", got=missing, allowed=embedded, where=f"{where}.networks"
                )
    named = params.scores and params.register_.candidates != "auto"  # without scores nothing is registered
    for candidate in params.register_.candidates if named else ():
        score_name, _, part = candidate.partition(":")
        networks = columns_of.get(score_name, [])
        if networks is not None and part not in networks:
            possible = [f"{name}:{one}" for name, of in columns_of.items() for one in of or ["..."]]
            raise ParamsError(
                "A candidate is no score that is computed.",
                got=candidate,
                allowed=", ".join(possible),
                where=f"{path}, register.candidates",
            )
    for name, protocol in params.verify.protocols.items():
        where = f"{path}, verify.protocols.{name}"
        kind_settings("matching.verification.protocols", protocol.kind, protocol.own, where)
    for name, explanation in params.explanations.items():
        where = f"{path}, explanations.{name}"
        kind, _ = kind_settings("why.explanation", explanation.kind, explanation.own, where)
        check_offers(_without_weights(params, explanation.network), kind.REQUIRES, where)
    for name, entry in params.rerank.items():
        where = f"{path}, rerank.{name}"
        kind, settings = kind_settings("matching.rerankers", entry.kind, entry.own, where)
        try:
            kind.check_grid(settings, _without_weights(params, entry.network).grid)
        except DataError as error:
            raise ParamsError(f"{error}", where=where) from error


def _without_weights(params: Params, network: str) -> FaceNetwork:
    with torch.device("meta"):  # its shape alone: no memory, no time
        if network in params.networks:
            return build_network(network_spec(params.networks[network], f"networks.{network}"))
        settings = over_settings(params.networks_over[network], f"networks_over.{network}")
        return build_over(settings, {name: _without_weights(params, name) for name in settings.over})


def _check_file(path: Path | None, where: str) -> None:
    if path is not None and not path.is_file():
        raise ParamsError("A file that the parameters name does not exist.", got=path, where=where)
