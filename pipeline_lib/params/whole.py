"""The whole of params.yaml, for those who look at all of it: the check before the first stage, the report."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from pipeline_lib.core.kinds import checked
from pipeline_lib.params.align import Align
from pipeline_lib.params.anchors import Anchors
from pipeline_lib.params.claims import Claims
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.explain import Explain, Explanation
from pipeline_lib.params.galleries import Gallery
from pipeline_lib.params.ingest import Ingest, Synthetic
from pipeline_lib.params.load import PARAMS_FILE, read_yaml
from pipeline_lib.params.networks import Network, NetworkOver
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.register import Register
from pipeline_lib.params.report import Report
from pipeline_lib.params.rerank import Rerank
from pipeline_lib.params.scores import Score
from pipeline_lib.params.section import Section
from pipeline_lib.params.train import Train
from pipeline_lib.params.verify import Verify

# A name is part of files' and columns' names, of keys that DVC and MLflow take apart, and of commands that a shell reads.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Params(Section):
    """Every section; those with a default may be absent."""

    ingest: Ingest
    synthetic: Synthetic
    align: Align
    occlude: Occlude
    train: Train
    networks: dict[str, Network] = {}
    networks_over: dict[str, NetworkOver] = {}
    regions: Regions = Regions()
    embed: Embed
    anchors: dict[str, Anchors] = {}
    scores: dict[str, Score] = {}
    verify: Verify
    galleries: dict[str, Gallery] = {}
    rerank: dict[str, Rerank] = {}
    explain: Explain
    explanations: dict[str, Explanation] = {}
    register_: Register = Field(alias="register")
    claims: Claims
    report: Report

    @model_validator(mode="after")
    def _names_are_plain(self) -> "Params":
        tables: dict[str, Mapping[str, Section] | Mapping[str, list[str]]] = {
            "networks": self.networks, "networks_over": self.networks_over, "regions.groups": self.regions.groups,
            "regions.weights": self.regions.weights, "anchors": self.anchors, "scores": self.scores,
            "rerank": self.rerank, "explanations": self.explanations,
        }  # fmt: skip
        names = [(f"{table}.{name}", name) for table, entries in tables.items() for name in entries]
        for key, entry in self.scores.items():
            names += [(f"scores.{key}.of", part) for part in entry.of.split("/")]
            names += [(f"scores.{key}.with", part) for part in entry.with_.split("/")]
        for where, name in names:
            if not NAME.fullmatch(name):
                raise ValueError(f"{where}: {name!r} is no name: letters and digits of ASCII, then also _ and -")
        return self

    @model_validator(mode="after")
    def _named_entries_exist(self) -> "Params":
        networks = {*self.networks, *self.networks_over}
        twice = sorted(set(self.networks) & set(self.networks_over))
        if twice:
            raise ValueError(f"networks and networks_over both define {', '.join(twice)}")
        named = {f"galleries.{name}": name for name in self.galleries}
        named |= {f"anchors.{name}.network": entry.network for name, entry in self.anchors.items()}
        named |= {f"rerank.{name}.network": entry.network for name, entry in self.rerank.items()}
        named |= {f"explanations.{name}.network": entry.network for name, entry in self.explanations.items()}
        named |= {
            f"networks_over.{name}.over": over for name, entry in self.networks_over.items() for over in entry.over
        }
        named |= {
            f"scores.{name}.of": entry.of.removeprefix("embed/")
            for name, entry in self.scores.items()
            if entry.of.startswith("embed/")
        }
        for key, name in named.items():
            if name not in networks:
                raise ValueError(f"{key} names {name}, which networks does not define")
        for key, over in self.networks_over.items():
            strangers = [name for name in over.over if name not in self.networks]
            if strangers:
                raise ValueError(f"networks_over.{key}.over names {strangers[0]}, which networks does not define")
        for key, reranked in self.rerank.items():
            if reranked.network not in self.galleries:
                raise ValueError(f"rerank.{key}.network names {reranked.network}, which galleries does not")
        tables: dict[str, Mapping[str, Section]] = {"anchors": self.anchors, "region_weights": self.regions.weights}
        for key, entry in self.scores.items():
            folder, _, name = entry.with_.partition("/")
            if folder in tables and name not in tables[folder]:
                raise ValueError(f"scores.{key}.with names {entry.with_}, which is not defined")
        return self


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the whole of params.yaml, but for the keys that kinds check (check.check_params does).

    Raises:
        ParamsError: the file is missing or no YAML, a key is unknown or missing, a value is out of range; names the key.
    """
    return check_sections(read_yaml(path), where=str(path))


def check_sections(raw: Any, where: str) -> Params:
    """Check a parsed mapping; see load_params."""
    return checked(Params, raw, where)
