"""A network's own head takes the place of train.head; without one, train.head holds."""

from pathlib import Path

from pipeline_lib.networks.training.settings import from_params

from pipeline_lib.params.load import Head, load_params


def test_a_networks_own_head_is_trained_with(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    network = params.networks["iresnet"]
    own = network.model_copy(update={"head": Head(kind="uniface", scale=16.0, margin=0.1), "epochs": 7})
    assert from_params(params.train, network).head.kind == params.train.head.kind == "arcface"
    settings = from_params(params.train, own)
    assert (settings.head.kind, settings.head.scale, settings.head.margin, settings.epochs) == ("uniface", 16.0, 0.1, 7)
