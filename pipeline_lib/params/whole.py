"""The whole of params.yaml, for those who look at all of it: the check before the first stage, the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from pipeline_lib.core.kinds import checked
from pipeline_lib.params.align import Align
from pipeline_lib.params.all_pairs import AllPairs
from pipeline_lib.params.anchors import Anchors
from pipeline_lib.params.attacks import Attack, AttackName
from pipeline_lib.params.claims import Claims
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.explain import Explain, Explanation
from pipeline_lib.params.galleries import Gallery
from pipeline_lib.params.generators import Generator
from pipeline_lib.params.ingest import Ingest, Synthetic
from pipeline_lib.params.load import PARAMS_FILE, read_yaml
from pipeline_lib.params.networks import Network, NetworkOver
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.register import Register
from pipeline_lib.params.report import Report
from pipeline_lib.params.rerank import Rerank
from pipeline_lib.params.scores import Score
from pipeline_lib.params.section import NONE, Name, Section
from pipeline_lib.params.shards import Shards
from pipeline_lib.params.teachers import TeacherEntry
from pipeline_lib.params.train import Train
from pipeline_lib.params.verify import Verify

# What may stand in an entry of `scores` as `of`: a folder below data/, and whether one of its folders is named.
FOLDERS_SCORED = {("align", False), ("embed", False), ("embed", True), ("region_embeddings", False)}


class Params(Section):
    """Every section; those with a default may be absent."""

    ingest: Ingest
    synthetic: Synthetic
    shards: Shards = Shards()
    align: Align
    occlude: Occlude
    train: Train
    networks: dict[Name, Network] = {}
    teachers: dict[Name, TeacherEntry] = {}
    networks_over: dict[Name, NetworkOver] = {}
    regions: Regions = Regions()
    embed: Embed
    generators: dict[Name, Generator] = {}
    anchors: dict[Name, Anchors] = {}
    scores: dict[Name, Score] = {}
    all_pairs: dict[Name, AllPairs] = {}
    verify: Verify
    attacks: dict[AttackName, Attack] = {}
    galleries: dict[Name, Gallery] = {}
    rerank: dict[Name, Rerank] = {}
    explain: Explain
    explanations: dict[Name, Explanation] = {}
    register_: Register = Field(alias="register")
    claims: Claims
    report: Report

    @model_validator(mode="after")
    def _named_entries_exist(self) -> "Params":
        if twice := sorted(set(self.networks) & set(self.networks_over)):
            raise ValueError(f"networks and networks_over both define {', '.join(twice)}")
        # (key, what it names): their stages read data/networks, in which those over others are not.
        named = [(f"galleries.{name}", name) for name, entry in self.galleries.items() if entry.of == "networks"]
        named += [(f"teachers.{name}", name) for name in self.teachers]
        named += [(f"generators.{name}.judge", entry.judge) for name, entry in self.generators.items()]
        named += [(f"attacks.{name}.network", entry.network) for name, entry in self.attacks.items()]
        named += [(f"explanations.{name}.network", entry.network) for name, entry in self.explanations.items()]
        named += [
            (f"networks_over.{name}.over", over) for name, entry in self.networks_over.items() for over in entry.over
        ]
        for key, name in named:
            if name not in self.networks:
                raise ValueError(f"{key} names {name}, which networks does not define")
        for name, entry in self.galleries.items():
            if entry.of == "networks_over" and name not in self.networks_over:
                raise ValueError(f"galleries.{name} names {name}, which networks_over does not define")
        for name, anchors in self.anchors.items():
            if anchors.network not in (self.networks if anchors.of == "networks" else self.networks_over):
                raise ValueError(f"anchors.{name}.network names {anchors.network}, which {anchors.of} does not define")
            made = Path(anchors.from_).parts
            if made[:2] == ("data", "generators") and (len(made) < 3 or made[2] not in self.generators):
                raise ValueError(f"anchors.{name}.from is {anchors.from_}, which generators does not define")
        beside = [(f"explanations.{name}", entry.with_) for name, entry in self.explanations.items()]
        beside += [(f"rerank.{name}", entry.with_) for name, entry in self.rerank.items()]
        for key, read in beside:
            table, _, over = read.partition("/")
            if read != NONE and (table != "networks_over" or over not in self.networks_over):
                raise ValueError(f"{key}.with is {read}; it may be none, or networks_over/<name>")
        for key, reranked in self.rerank.items():
            if reranked.network not in self.galleries:
                raise ValueError(f"rerank.{key}.network names {reranked.network}, which galleries does not")
            if reranked.own.get("weights") == "lmk" and not self.galleries[reranked.network].landmarks:
                raise ValueError(f"rerank.{key}.weights is lmk: set galleries.{reranked.network}.landmarks to true")
            if reranked.queries == "occluded" and not self._has_queries:
                raise ValueError(f"rerank.{key} has no queries: occlude.kinds is empty")
        return self

    @property
    def _has_queries(self) -> bool:
        return bool(self.occlude.kinds or self.occlude.profile_queries or self.attacks)

    @model_validator(mode="after")
    def _teachers_teach(self) -> "Params":
        for name, network in self.networks.items():
            if "teacher" not in network.model_fields_set:
                raise ValueError(f"networks.{name}.teacher is missing: one of teachers, or {NONE}")
            if network.teacher == NONE:
                continue
            if network.teacher not in self.teachers:
                raise ValueError(f"networks.{name}.teacher names {network.teacher}, which teachers does not define")
            if name in self.teachers:
                raise ValueError(
                    f"networks.{name} is taught, so it cannot be one of teachers: it would wait for itself"
                )
        if self.regions.network is not None and self.regions.network.teacher != NONE:
            raise ValueError("regions.network.teacher: teachers see whole faces, region networks learn from labels")
        return self

    @model_validator(mode="after")
    def _scores_read_what_is_there(self) -> "Params":
        networks = {*self.networks, *self.networks_over}
        for key, entry in self.scores.items():
            folder, _, network = entry.of.partition("/")
            if (folder, bool(network)) not in FOLDERS_SCORED:
                raise ValueError(
                    f"scores.{key}.of is {entry.of}; it may be align, embed, embed/<network>, region_embeddings"
                )
            if network and network not in networks:
                raise ValueError(f"scores.{key}.of names {network}, which networks does not define")
            if folder == "embed" and not networks:
                raise ValueError(f"scores.{key}.of is embed, and there are no networks")
            if folder == "region_embeddings" and not self.regions.positions:
                raise ValueError(
                    f"scores.{key}.of is region_embeddings, and regions.alone and regions.groups are empty"
                )
            self._check_with(key, entry)
        return self

    @model_validator(mode="after")
    def _all_pairs_read_what_is_there(self) -> "Params":
        for key, entry in self.all_pairs.items():
            network, anchors = entry.of.partition("/")[2], entry.with_.partition("/")[2]
            if network not in {*self.networks, *self.networks_over}:
                raise ValueError(f"all_pairs.{key}.of names {network}, which networks does not define")
            if entry.with_ != NONE and anchors not in self.anchors:
                raise ValueError(f"all_pairs.{key}.with names {entry.with_}, which is not defined")
            if entry.with_ != NONE and self.anchors[anchors].network != network:
                raise ValueError(f"all_pairs.{key} is of {entry.of} with {entry.with_}, which are of another network")
        return self

    def _check_with(self, key: str, entry: Score) -> None:
        table, _, name = entry.with_.partition("/")
        if entry.with_ == NONE:
            return
        defined: Mapping[str, Mapping[str, Section]] = {
            "anchors": self.anchors,
            "region_weights": self.regions.weights,
            "networks_over": self.networks_over,
        }
        if name not in defined.get(table, {}):
            raise ValueError(f"scores.{key}.with names {entry.with_}, which is not defined")
        network = self.anchors[name].network if table == "anchors" else name
        wanted = "region_embeddings" if table == "region_weights" else f"embed/{network}"
        if entry.of != wanted:
            raise ValueError(f"scores.{key} is of {entry.of} with {entry.with_}, which are of {wanted}")


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the whole of params.yaml, but for the keys that kinds check (check.check_params does).

    Raises:
        ParamsError: the file is missing or no YAML, a key is unknown or missing, a value is out of range; names the key.
    """
    return check_sections(read_yaml(path), where=str(path))


def check_sections(raw: Any, where: str) -> Params:
    """Check a parsed mapping; see load_params."""
    return checked(Params, raw, where)
