"""params.yaml: what is refused, and with which words; what may be absent."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline_lib.check import check_params, check_processes
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.params.load import read_entries, read_entry, read_section
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.networks import Network
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.train import Train
from pipeline_lib.params.whole import load_params

LOGISTIC = {
    "logistic": {
        "num_pairs": 9,
        "num_cross_validation_folds": 2,
        "strengths": [1.0],
        "num_bootstrap": 2,
        "seed": 1,
        "fit_on": ["train"],
        "non_negative": [True],
    }
}
Change = Callable[[Callable[[Any], None]], Path]
ALL_PAIRS = {
    "of": "embed/iresnet", "with": "anchors/real", "split": "test", "max_faces": 9, "false_accept_rates": [0.1], "seed": 0,
}  # fmt: skip
OF_NO_SUM = {"kind": "additive", "network": "iresnet", "with": "none"}


@pytest.fixture
def changed(repository: Path, tmp_path: Path) -> Change:
    """A copy of params.yaml after a change."""

    def change(edit: Callable[[Any], None]) -> Path:
        document = yaml.safe_load((repository / "params.yaml").read_text())
        edit(document)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return change


def put(keys: str, value: object) -> Callable[[Any], None]:
    *way, last = keys.split(".")

    def edit(document: Any) -> None:
        for key in way:
            document = document[key]
        document[last] = value

    return edit


def test_a_whole_gallery_is_not_compared_by_an_index_that_finds_a_part(changed: Change) -> None:
    def edit(document: Any) -> None:
        document["rerank"]["apc"] |= {"index": "ivf", "top_k": None}

    with pytest.raises(ParamsError, match=r"rerank\.apc[\s\S]*index: exact"):
        load_params(changed(edit))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("align.min_face_pixel", 40, r"align\.min_face_pixel: Extra inputs"),
        ("align.detector", "haar", r"align\.detector: Input should be 'mmod', 'dlib'"),
        ("rerank.apc.weights", "lmk", r"rerank\.apc\.weights is lmk: set galleries\.iresnet\.landmarks to true"),
        ("rerank.apc.alpha", 1.5, r"rerank\.apc\.alpha: Input should be less than or equal to 1"),
        ("rerank.apc.index", "pq", r"rerank\.apc\.index: Input should be 'exact', 'hnsw' or 'ivf'"),
        ("rerank.apc.network", "rrfnet56", r"rerank\.apc\.network names rrfnet56, which galleries does not"),
        ("train.batch_size", 1, r"train\.batch_size: Input should be greater than or equal to 2"),
        ("train.micro_batch_size", 1, r"train\.micro_batch_size: Input should be greater than or equal to 2"),
        ("ingest.max_identities", 1, r"ingest\.max_identities"),
        ("ingest.val_share", 0.8, r"ingest: Value error, val_share and test_share are 1\.1, together at most 1"),
        ("synthetic.no_face_share", 0.99, r"synthetic: Value error, two_faces_share and no_face_share are 1\.01"),
        ("anchors.real.max_anchors", 10, r"anchors\.real: Value error, num_neighbours 10 needs a larger max_anchors than 10"),
        ("anchors.real.network", "resnet", r"anchors\.real\.network names resnet, which networks does not define"),
        ("anchors.real.of", "networks_over", r"names iresnet, which networks_over does not define"),
        ("anchors.real.of", "embed", r"anchors\.real\.of: Input should be 'networks' or 'networks_over'"),
        ("anchors.real.lid.held_out_share", 1.0, r"held_out_share: Input should be less than 1"),
        ("register.model_name", "a/b", r"register\.model_name"),
        ("occlude.kinds", [], r"rerank\.\w+ has no queries: occlude\.kinds is empty"),
        *((table, {name: {}}, rf"{table}\.{re.escape(name)}\.\[key\]: String should match pattern")
          for table in ("networks", "networks_over", "scores", "anchors", "rerank", "explanations", "galleries")
          for name in ("r50+", "mobile0.25", "a b", "it's", "$(id)", "a;b", "a/b", "ä", "-a", "")),
        ("regions.groups", {"p.28": ["p28_x28_y28"]}, r"regions\.groups\.p\.28\.\[key\]"),
        ("regions.weights", {"all+": {}}, r"regions\.weights\.all\+\.\[key\]"),
        ("regions", {"alone": {}, "margin_px": 5}, r"of is region_embeddings, and regions\.alone and regions\.groups are"),
        ("regions", {"alone": {}, "margin_px": 5, "weights": LOGISTIC}, r"regions\.weights has no regions to weigh"),
        ("scores.cosine.of", "embedded", r"scores\.cosine\.of is embedded; it may be align, embed"),
        ("scores.cosine.with", "anchor/real", r"scores\.cosine\.with names anchor/real, which is not defined"),
        ("scores.dam.of", "embed/rrfnet56", r"scores\.dam is of embed/rrfnet56 with anchors/real, which are of embed/iresnet"),
        ("regions.alone", {"p56_x56_y0": {}}, "p56_x56_y0 is no unique patch position"),
        ("regions.alone", {"p56_x0_y0": {}}, "twice"),
        ("regions.network", None, r"positions need regions\.network"),
        ("regions.weights.logistic.num_bootstrap", 1, r"num_bootstrap: Input should be greater than or equal to 2"),
        ("explanations.rrfnet28_random.network", "resnet", "names resnet, which networks does not define"),
        ("explanations.rrfnet28_random.with", "networks_over/x", r"rrfnet28_random\.with is networks_over/x"),
        ("scores.dam.with", "anchors/fake", r"scores\.dam\.with names anchors/fake, which is not defined"),
        ("scores.dam.of", "embed/resnet", "names resnet, which networks does not define"),
        ("all_pairs", {"low": {**ALL_PAIRS, "of": "embed/resnet"}}, r"all_pairs\.low\.of names resnet, which networks does not"),
        ("all_pairs", {"low": {**ALL_PAIRS, "with": "anchors/fake"}}, r"all_pairs\.low\.with names anchors/fake, which is not"),
        ("all_pairs", {"low": {**ALL_PAIRS, "of": "embed/rrfnet56"}}, r"all_pairs\.low is of embed/rrfnet56 with anchors/real"),
        ("all_pairs", {"low": {**ALL_PAIRS, "of": "embed"}}, r"all_pairs\.low\.of: String should match"),
        ("networks_over", {"iresnet": {"kind": "x", "over": ["iresnet"], "epochs": 0, "head": {"kind": "none"}}}, "both define"),
        ("networks.iresnet.head", {"kind": "none"}, r"epochs \d+ and head none"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(changed: Change, keys: str, value: object, message: str) -> None:
    path = changed(put(keys, value))
    with pytest.raises(ParamsError, match=message) as caught:
        load_params(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("networks.iresnet.arch", "resnet", r"no such kind[\s\S]*bagnet, dlib_resnet, iresnet[\s\S]*networks\.iresnet"),
        ("networks.iresnet.patch_px", 28, r"patch_px: Extra inputs[\s\S]*networks\.iresnet"),
        ("networks.iresnet.head.kind", "arc", r"no such kind[\s\S]*arcface[\s\S]*networks\.iresnet\.head"),
        ("networks.iresnet.head.h", 0.3, r"h: Extra inputs[\s\S]*networks\.iresnet\.head"),
        ("networks.iresnet.checkpoint", "gone.pth", r"does not exist[\s\S]*gone\.pth[\s\S]*networks\.iresnet\.checkpoint"),
        ("align.weights", "gone.pth", r"does not exist[\s\S]*gone\.pth[\s\S]*align\.weights"),
        ("scores.cosine.kind", "cosin", r"no such kind[\s\S]*cosine[\s\S]*scores\.cosine"),
        ("scores.dam.form", "ratio", r"form[\s\S]*scores\.dam"),
        ("explanations.rrfnet28_random.kind", "lime", r"no such kind[\s\S]*additive[\s\S]*explanations\.rrfnet28_random"),
        ("verify.protocols", {"val": {"kind": "ijbc"}}, r"no such kind[\s\S]*kfold[\s\S]*verify\.protocols\.val"),
        ("ingest.sources", [{"kind": "zip", "path": "", "split": "test"}], r"no such kind[\s\S]*lfw[\s\S]*ingest\.sources\[0\]"),
        ("train.shift_px", 6, r"train\.shift_px"),
        ("align.weights", "params.yaml", r"dlib detector takes no weights[\s\S]*align\.weights"),
        ("align.detector", "retinaface_mobilenet", r"a probability[\s\S]*align\.min_score"),
        ("explanations.rrfnet28_random", OF_NO_SUM, r"additive network[\s\S]*rrfnet28_random"),
        ("register.candidates", ["cosine:resnet"], r"no score[\s\S]*cosine:resnet[\s\S]*cosine:iresnet[\s\S]*candidates"),
        ("register.candidates", ["cosin:iresnet"], r"no score that is computed[\s\S]*cosin:iresnet"),
        ("scores.cosine.networks", ["iresnet", "resnet"], r"not embedded[\s\S]*resnet[\s\S]*scores\.cosine\.networks"),
    ],
)  # fmt: skip
def test_what_kinds_refuse_is_named_before_the_first_stage(
    changed: Change, keys: str, value: object, message: str
) -> None:
    path = changed(put(keys, value))
    load_params(path)  # the sections alone know nothing of it
    with pytest.raises(ParamsError, match=message):
        check_params(path)


STUDENT = {
    "arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 128, "epochs": 1, "checkpoint": "data/none",
    "head": {"kind": "distillation"}, "teacher": "seer",
}  # fmt: skip
SEER = {
    "arch": "dlib_resnet", "embedding_dim": 128, "epochs": 0, "checkpoint": "data/none", "head": {"kind": "none"},
    "teacher": "none",
}  # fmt: skip


UNSAID = {**{key: STUDENT[key] for key in STUDENT if key != "teacher"}, "head": {"kind": "none"}, "epochs": 0}


@pytest.mark.parametrize(
    ("student", "teachers", "message"),
    [
        (STUDENT, {}, r"networks\.student\.teacher names seer, which teachers does not define"),
        (STUDENT, {"nobody": {}}, r"teachers\.nobody names nobody, which networks does not define"),
        (STUDENT, {"seer": {}, "student": {}}, r"networks\.student is taught, so it cannot be one of teachers"),
        (
            {**STUDENT, "embedding_dim": 64},
            {"seer": {}},
            r"teacher's length[\s\S]*64[\s\S]*128, as seer[\s\S]*networks\.student",
        ),
        ({**STUDENT, "teacher": "none"}, {}, r"teacher none and head distillation"),
        (UNSAID, {}, r"networks\.student\.teacher is missing"),
    ],
)
def test_a_student_needs_a_teacher_that_is_there(
    student: dict[str, Any], teachers: dict[str, Any], message: str, changed: Change
) -> None:
    def put_in(network: dict[str, Any], table: dict[str, Any]) -> Callable[[Any], None]:
        def edit(document: Any) -> None:
            document["networks"] |= {"seer": SEER, "student": network}
            document["teachers"] = table

        return edit

    with pytest.raises(ParamsError, match=message):
        check_params(changed(put_in(student, teachers)))
    assert check_params(changed(put_in(STUDENT, {"seer": {}}))).networks["student"].teacher == "seer"


def test_region_networks_have_no_teacher(changed: Change) -> None:
    def taught(document: Any) -> None:
        document["networks"]["seer"], document["teachers"] = SEER, {"seer": {}}
        document["regions"]["network"] |= {"head": {"kind": "distillation"}, "teacher": "seer"}

    with pytest.raises(ParamsError, match=r"regions\.network\.teacher"):
        check_params(changed(taught))


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({"pair": "networks"}, r"galleries\.pair names pair, which networks does not define"),
        ({"iresnet": "networks_over"}, r"galleries\.iresnet names iresnet, which networks_over does not define"),
        ({"pair": "region_networks"}, r"galleries\.pair\.of: Input should be 'networks' or 'networks_over'"),
        ({"pair": "networks_over"}, None),
    ],
)
def test_a_gallery_says_which_table_its_network_is_of(changed: Change, of: dict[str, str], message: str | None) -> None:
    over = {"kind": "xcos", "over": ["iresnet"], "epochs": 0, "head": {"kind": "none"}}

    def edit(document: Any) -> None:
        document["networks_over"]["pair"] = over
        document["galleries"] |= {name: {"of": table} for name, table in of.items()}
        document["rerank"]["apc"]["network"] = next(iter(of))

    if message is None:
        assert check_params(changed(edit)).galleries["pair"].of == "networks_over"
        return
    with pytest.raises(ParamsError, match=message):
        load_params(changed(edit))


def test_the_queries_of_a_re_ranking_may_be_profiles_or_adversarial_alone(changed: Change) -> None:
    attack = {"network": "iresnet", "epsilon": 4, "num_steps": 2, "step_size": 1.0, "max_query_images": 3, "seed": 1}

    def profiles(document: Any) -> None:
        document["occlude"] |= {"kinds": [], "profile_queries": True}

    def adversarial(document: Any) -> None:
        document["occlude"]["kinds"], document["attacks"] = [], {"adversarial_white": attack}

    assert load_params(changed(profiles)).rerank
    assert load_params(changed(adversarial)).attacks["adversarial_white"].epsilon == 4
    with pytest.raises(
        ParamsError, match=r"attacks\.adversarial\.network names nobody, which networks does not define"
    ):
        load_params(changed(put("attacks", {"adversarial": {**attack, "network": "nobody"}})))
    with pytest.raises(ParamsError, match=r"attacks\.crop\.\[key\]"):
        load_params(changed(put("attacks", {"crop": attack})))


def test_a_patch_grid_that_cannot_be_pooled_is_named(changed: Change) -> None:
    def pool(document: Any) -> None:
        document["galleries"]["rrfnet28"] = {"of": "networks"}
        document["rerank"]["apc"] |= {"network": "rrfnet28", "pool": 2}

    with pytest.raises(ParamsError, match=r"full patch grid[\s\S]*rerank\.apc"):
        check_params(changed(pool))


def test_partial_fc_wants_a_softmax(changed: Change) -> None:
    def edit(document: Any) -> None:
        document["train"]["partial_fc_rate"] = 0.5
        document["networks"]["rrfnet56"]["head"] = {"kind": "uniface", "scale": 32.0, "margin": 0.3}

    with pytest.raises(ParamsError, match=r"PartialFC needs a softmax[\s\S]*networks\.rrfnet56\.head\.kind"):
        check_params(changed(edit))


@pytest.mark.parametrize(
    ("train", "machine", "fits"),
    [
        ({}, {}, True),
        ({"micro_batch_size": 3}, {}, False),
        ({}, {"processes": 2}, True),
        ({}, {"processes": 4}, False),  # 16 in micro-batches of 8
        ({"micro_batch_size": None}, {"processes": 8}, True),
        ({"micro_batch_size": None}, {"processes": 16}, False),  # one sample each
        ({"micro_batch_size": None}, {"processes": 4, "nodes": {"count": 4}}, False),
    ],
)
def test_a_batch_that_the_machine_s_processes_cannot_share(
    changed: Change, train: dict[str, Any], machine: dict[str, Any], fits: bool
) -> None:
    params = load_params(changed(lambda document: document["train"].update(train)))
    if fits:
        check_processes(params, Machine.model_validate(machine))
    else:
        with pytest.raises(ParamsError, match=r"train\.batch_size, train\.micro_batch_size"):
            check_processes(params, Machine.model_validate(machine))


def test_the_parameters_of_the_repository_pass(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    check_params()


@pytest.mark.parametrize("key", ["of", "with"])
def test_a_place_that_a_shell_would_take_apart_is_refused(changed: Change, key: str) -> None:
    with pytest.raises(ParamsError, match=rf"scores\.cosine\.{key} names .*, which"):
        load_params(changed(put(f"scores.cosine.{key}", "embed/'; touch x; '")))


def test_an_unknown_section_and_a_missing_one_are_named(changed: Change) -> None:
    with pytest.raises(ParamsError, match="allign: Extra inputs"):
        load_params(changed(lambda document: document.__setitem__("allign", {})))
    with pytest.raises(ParamsError, match="verify: Field required"):
        load_params(changed(lambda document: document.pop("verify")))
    for change, name in (
        (lambda document: document["regions"].pop("alone"), r"no regions\.alone"),
        (lambda document: document["regions"].pop("margin_px"), r"no regions\.margin_px"),
        (lambda document: document.pop("shards"), "no shards"),
    ):
        with pytest.raises(ParamsError, match=name):  # DVC would not know what shard_patches reads
            check_params(changed(change))


def test_every_table_may_be_absent(changed: Change) -> None:
    tables = ("networks", "networks_over", "anchors", "scores", "galleries", "rerank", "explanations")

    def leave_out(document: Any) -> None:
        for name in tables:
            del document[name]
        document["regions"] = {"alone": {}, "margin_px": 5}

    path = changed(leave_out)
    params = check_params(path)
    assert params.networks == params.scores == params.rerank == {}
    assert params.regions == read_section("regions", Regions, path) == Regions(alone={}, margin_px=5)
    assert read_entries("networks", Network, path) == {}


def test_a_section_alone_is_read_whatever_the_others_say(changed: Change) -> None:
    path = changed(put("rerank.apc.alpha", 7))
    assert read_section("train", Train, path).batch_size == 16
    assert read_entry("networks", "iresnet", Network, path).own["embedding_dim"] == 128
    with pytest.raises(ParamsError, match=r"no such entry[\s\S]*resnet[\s\S]*iresnet, rrfnet28, rrfnet56"):
        read_entry("networks", "resnet", Network, path)
    with pytest.raises(ParamsError, match=r"train\n.*learning_rte|learning_rte[\s\S]*train"):
        read_section("train", Train, changed(put("train.learning_rte", 1)))


def test_no_file_and_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ParamsError, match="missing"):
        load_params(path)
    path.write_text("a: [")
    with pytest.raises(ParamsError, match="no YAML"):
        load_params(path)
    path.write_text("- a list")
    with pytest.raises(ParamsError, match=r"no sections[\s\S]*list"):
        load_params(path)


def test_sections_are_frozen(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.align.min_face_px = 1  # type: ignore[misc]
