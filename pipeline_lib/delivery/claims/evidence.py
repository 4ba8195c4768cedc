"""What a run's tables say about pairs, measured once for all the claims that ask."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.bootstrap import IdentityBootstrap
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import MISSING, Texts
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.claims.anchors import AnchorSet, read_anchor_sets
from pipeline_lib.delivery.claims.explained import Explained, read_explained
from pipeline_lib.delivery.claims.networks import Trained, read_trained
from pipeline_lib.delivery.claims.over import Over, read_over, read_specs
from pipeline_lib.delivery.claims.ranked import Ranked, read_ranked
from pipeline_lib.delivery.claims.sharpness import read_sharpness
from pipeline_lib.matching.scores.shared.table import read_entries, read_scores, score_columns
from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.templates import TEMPLATES, TEMPLATES_FILE

TAR = "TAR@FAR "  # a measure's name begins so, and ends with the rate

Half = Literal["all", "sharper", "blurrier"]
Sharpness = Callable[[Sequence[str]], Doubles]


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
        anchors: those of `anchors`, by name.
        rates: the false accept rates that verification asks for, the highest first.
        kinds: score column -> the kind of score that it is.
        pairs(protocol): its pairs and their resamples, a PairBootstrap; raises as _pairs.
        figures(protocol, column, measure, half): see _figures.
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
        sharpness: Sharpness | None = None,
        anchors: Mapping[str, AnchorSet] | None = None,
        rates: Sequence[float] = (),
        templates: pa.Table | None = None,
    ) -> None:
        """
        Args:
            scores: as matching.scores.shared.table has it.
            manifest: schemas.manifest.MANIFEST; who is on which image.
            templates: schemas.templates.TEMPLATES, of whose images pairs may name all at once; None for none.
            num_bootstrap: resamples a protocol.
            sharpness: of aligned images, by their ids; read where a claim asks for it.
        """
        self.networks, self.explained = tuple(networks), tuple(explained)
        self.ranked, self.over = tuple(ranked), tuple(over)
        self.specs, self.scored = dict(specs or {}), dict(scored or {})
        self.anchors, self.rates = dict(anchors or {}), tuple(sorted(rates, reverse=True))
        self.kinds = {name: column.kind for name, column in score_columns(scores).items()}
        found = pc.unique(scores["protocol"]).to_pylist()
        self.protocols: tuple[str, ...] = tuple(sorted(found, key=lambda name: name == VALIDATION))
        self._scores = scores
        self._faces, self._identities = _owners(manifest, templates)
        self._images_of: dict[str, list[str]] = {}
        for template, image in (
            zip(*(templates[name].to_pylist() for name in ("template", "image_id")), strict=True)
            if templates is not None
            else ()
        ):
            self._images_of.setdefault(template, []).append(image)
        self._num_bootstrap, self._seed = num_bootstrap, seed
        self.pairs = cache(self._pairs)
        self.figures = cache(self._figures)
        self.sharper = cache(self._sharper)
        self._sharpness = sharpness

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
        places = self._faces.rows(images)
        if unknown := sorted(set(images.take(np.flatnonzero(places == MISSING))))[:5]:
            raise DataError("Images of pairs are not in the manifest.", got=unknown, where="verify/scores.parquet")
        people = self._identities.take(places).numbered()[0].reshape(2, -1).T
        rng = np.random.default_rng([self._seed, zlib.crc32(protocol.encode())])
        genuine = rows["genuine"].to_numpy()
        return PairBootstrap(people, genuine, self._num_bootstrap, rng)

    def _figures(self, protocol: str, column: str, measure: str, half: Half = "all") -> Doubles:
        """A score's AUC, accuracy or TAR@FAR <rate> on a protocol, then on each resample: float64 (1 + B,).

        Args:
            half: of the pairs, by the sharpness of the blurrier of their faces; see PairBootstrap.auc, only.

        Raises:
            As _pairs; TooFewImpostors, DataError: see PairBootstrap.auc, accuracy, tar_at_far.
        """
        pairs, values = self.pairs(protocol), self._rows(protocol)[column].to_numpy()
        only = None if half == "all" else self.sharper(protocol) == (half == "sharper")
        if measure.startswith(TAR):
            assert only is None, "TAR@FAR is measured on all pairs"
            return pairs.tar_at_far(values, float(measure.removeprefix(TAR)))
        return pairs.auc(values, only) if measure == "AUC" else pairs.accuracy(values, only)

    def _sharper(self, protocol: str) -> Bools:
        """Which pairs are above the median of the pairs' sharpness, that of the blurriest image of either face: bool (N,).

        Raises:
            DataError: there is nothing that knows how sharp an image is.
        """
        if self._sharpness is None:
            raise DataError("Nobody said how sharp the faces are.", where="Evidence")
        rows = self._rows(protocol)
        sides = [
            [self._images_of.get(face, (face,)) for face in rows[side].to_pylist()] for side in ("image_a", "image_b")
        ]
        images = sorted({image for side in sides for face in side for image in face})
        found = dict(zip(images, self._sharpness(images), strict=True))
        lower = np.min([[np.nanmin([found[image] for image in face]) for face in side] for side in sides], axis=0)
        assert not np.isnan(lower).any(), "a scored pair has an aligned image on either side"
        return np.asarray(lower > np.median(lower))

    def _rows(self, protocol: str) -> pa.Table:
        return self._scores.filter(pc.equal(self._scores["protocol"], protocol))


def _owners(manifest: pa.Table, templates: pa.Table | None) -> tuple[Texts, Texts]:
    """The names of all faces, images and then templates, and whose they are."""
    images, people = Texts(manifest["image_id"]), Texts(manifest["identity"])
    if templates is None:
        return images, people
    first = templates.group_by("template", use_threads=False).aggregate([("image_id", "first")])
    owners = people.take(images.rows(Texts(first["image_id_first"])))
    names = (images, Texts(first["template"])), (people, owners)
    faces, identities = (Texts(pa.concat_arrays([each.column for each in both])) for both in names)
    return faces, identities


def scores_evidence(data: Path, scores: pa.Table, num_bootstrap: int, seed: int, rates: Sequence[float]) -> Evidence:
    """What pair scores, their entries and the anchors say, without networks, explanations and rankings.

    Raises:
        DataError: a file is missing or breaks its contract; names it.
    """
    manifest = read_table(data / "ingest" / "manifest.parquet", MANIFEST)
    return Evidence(
        scores,
        manifest,
        (),
        (),
        num_bootstrap,
        seed,
        scored=read_entries(data / "scores"),
        anchors=read_anchor_sets(data / "anchors"),
        rates=rates,
        templates=_read_templates(data),
    )


def _read_templates(data: Path) -> pa.Table | None:
    table = read_table(data / "ingest" / TEMPLATES_FILE, TEMPLATES)
    return table if table.num_rows else None  # most sources have pairs of images only


def read_evidence(
    data: Path,
    num_bootstrap: int,
    seed: int,
    rates: Sequence[float] = (),
) -> Evidence:
    """Read what the claims are judged by from a run's data folder; tables of explanations when a claim asks for them.

    Args:
        data: the folder.
        num_bootstrap, seed: of the resamples.
        rates: false accept rates, see Evidence.

    Raises:
        DataError: a file is missing or breaks its contract; names it.
    """
    scores = read_scores(data / "verify" / "scores.parquet")
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
        sharpness=partial(read_sharpness, data / "align"),
        anchors=read_anchor_sets(data / "anchors"),
        rates=rates,
        templates=_read_templates(data),
    )
