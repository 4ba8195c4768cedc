"""What a run's tables say about pairs, measured once for all the claims that ask."""

import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.bootstrap import IdentityBootstrap
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Doubles
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import MISSING, Texts
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.claims.explained import Explained, read_explained
from pipeline_lib.delivery.claims.networks import Trained, read_trained
from pipeline_lib.delivery.claims.over import Over, read_over, read_specs
from pipeline_lib.delivery.claims.ranked import Ranked, read_ranked
from pipeline_lib.matching.scores.shared.table import read_entries, read_scores, score_columns
from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.templates import TEMPLATES, TEMPLATES_FILE


class Evidence:
    """The pair scores of a run, by protocol, and the networks behind them.

    Every score of a protocol is measured on the same resamples of its identities, which depend on the seed and on the
    protocol alone, not on which others there are.

    Attributes:
        networks: the networks trained in this run whose cosine was scored, by name.
        explained: the entries of `explanations`, by name.
        ranked: the entries of `rerank`, by name.
        over: those of `networks_over`, by name.
        specs: the spec of every network of the run, by name.
        scored: the entries of `scores`, by name, which is a column's, or what stands before its colon.
        protocols: in the order of the table, the validation identities' last.
        kinds: score column -> the kind of score that it is.
        pairs(protocol): its pairs and their resamples, a PairBootstrap; raises as _pairs.
        figures(protocol, column, measure): see _figures.
    """

    def __init__(
        self,
        scores: pa.Table,
        manifest: pa.Table,
        networks: Sequence[Trained],
        explained: Sequence[Explained],
        num_bootstrap: int,
        seed: int,
        *,
        ranked: Sequence[Ranked] = (),
        over: Sequence[Over] = (),
        specs: Mapping[str, Mapping[str, Any]] | None = None,
        scored: Mapping[str, Score] | None = None,
    ) -> None:
        """
        Args:
            scores: as matching.scores.shared.table has it.
            manifest: schemas.manifest.MANIFEST; who is on which image.
            num_bootstrap: resamples a protocol.
        """
        self.networks, self.explained = tuple(networks), tuple(explained)
        self.ranked, self.over = tuple(ranked), tuple(over)
        self.specs, self.scored = dict(specs or {}), dict(scored or {})
        self.kinds = {name: column.kind for name, column in score_columns(scores).items()}
        found = pc.unique(scores["protocol"]).to_pylist()
        self.protocols: tuple[str, ...] = tuple(sorted(found, key=lambda name: name == VALIDATION))
        self._scores = scores
        self._image_ids, self._identities = Texts(manifest["image_id"]), Texts(manifest["identity"])
        self._num_bootstrap, self._seed = num_bootstrap, seed
        self.pairs = cache(self._pairs)
        self.figures = cache(self._figures)

    def resampled(self, people: npt.NDArray[Any]) -> IdentityBootstrap:
        """Resamples of the identities of some explained pairs, (N, 2); of equal pairs always the same ones."""
        return IdentityBootstrap(people, self._num_bootstrap, np.random.default_rng(self._seed))

    def _pairs(self, protocol: str) -> PairBootstrap:
        """The resamples of a protocol's identities.

        Raises:
            TooFewIdentities: see PairBootstrap.
            DataError: an image of a pair is not in the manifest.
        """
        rows = self._rows(protocol)
        images = Texts(pa.chunked_array([*rows["image_a"].chunks, *rows["image_b"].chunks], pa.string()))
        places = self._image_ids.rows(images)
        if unknown := sorted(set(images.take(np.flatnonzero(places == MISSING))))[:5]:
            raise DataError("Images of pairs are not in the manifest.", got=unknown, where="verify/scores.parquet")
        people = self._identities.take(places).numbered()[0].reshape(2, -1).T
        rng = np.random.default_rng([self._seed, zlib.crc32(protocol.encode())])
        genuine = rows["genuine"].to_numpy()
        return PairBootstrap(people, genuine, self._num_bootstrap, rng)

    def _figures(self, protocol: str, column: str, measure: str) -> Doubles:
        """A score's AUC or accuracy on a protocol, then on each resample: float64 (1 + B,).

        Raises:
            As _pairs; DataError: see PairBootstrap.auc, accuracy.
        """
        pairs, values = self.pairs(protocol), self._rows(protocol)[column].to_numpy()
        return pairs.auc(values) if measure == "AUC" else pairs.accuracy(values)

    def _rows(self, protocol: str) -> pa.Table:
        return self._scores.filter(pc.equal(self._scores["protocol"], protocol))


def read_evidence(data: Path, num_bootstrap: int, seed: int) -> Evidence:
    """Read what the claims are judged by from a run's data folder; tables of explanations when a claim asks for them.

    Pairs of templates are left out: the papers' claims are about pairs of images.

    Raises:
        DataError: a file is missing or breaks its contract; names it.
    """
    scores = _of_images(read_scores(data / "verify" / "scores.parquet"), data / "ingest" / TEMPLATES_FILE)
    manifest = read_table(data / "ingest" / "manifest.parquet", MANIFEST)
    cosines = [column for column, about in score_columns(scores).items() if about.kind == "cosine"]
    columns = {column.rpartition(":")[2]: column for column in cosines}
    networks = read_trained(data / "networks", data / "train", columns)
    return Evidence(
        scores,
        manifest,
        networks,
        read_explained(data / "explain"),
        num_bootstrap,
        seed,
        ranked=read_ranked(data / "rerank"),
        over=read_over(data / "networks_over", data / "train_over"),
        specs=read_specs(data / "networks"),
        scored=read_entries(data / "scores"),
    )


def _of_images(scores: pa.Table, templates: Path) -> pa.Table:
    """The protocols none of whose faces is a template."""
    if not templates.exists():
        return scores
    names = read_table(templates, TEMPLATES)["template"].combine_chunks()
    either = pc.or_(*(pc.is_in(scores[side], names) for side in ("image_a", "image_b")))
    of_templates = scores["protocol"].filter(either).combine_chunks()
    return scores.filter(pc.invert(pc.is_in(scores["protocol"], of_templates)))
