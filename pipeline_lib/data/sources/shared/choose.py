"""Which of the sources' photographs and pairs count, and in which split, before anything is opened."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.packed import with_column
from pipeline_lib.data.sources.shared.image_ids import check_image_ids
from pipeline_lib.data.sources.shared.names import join_names
from pipeline_lib.data.sources.shared.records import PairRecord, Photos, SourceFaces, TemplateRecord
from pipeline_lib.data.sources.shared.splits import Assignment, SourceNames, assign_splits
from pipeline_lib.data.sources.shared.templates import template_splits
from pipeline_lib.params.ingest import Ingest, Source
from pipeline_lib.schemas.manifest import SPLITS


class ChosenPhotos(NamedTuple):
    """What build_manifest takes in, before a photograph is looked at.

    The sources, with each person under one name and the photographs that count, each with its split; the split of each
    identity; those of the sources' pairs that count; how many photographs were listed.
    """

    sources: Sequence[tuple[Source, SourceFaces]]
    assigned: Assignment
    own_pairs: list[PairRecord]
    num_listed: int

    @property
    def photos(self) -> Photos:
        """All that count, source by source."""
        return Photos().joined(faces.photos for _, faces in self.sources)


def choose_photos(sources: Sequence[tuple[Source, SourceFaces]], ingest: Ingest) -> ChosenPhotos:
    """Steps 1 and 2 of build_manifest; nothing is opened.

    Raises:
        DataError: two photographs with one id, a template named as one, a broken split (see assign_splits), nobody in a split
            that has a share, or no photograph at all.
    """
    check_image_ids([faces for _, faces in sources])
    joined = join_names([faces for _, faces in sources])
    sources = [(source, faces) for (source, _), faces in zip(sources, joined, strict=True)]
    assigned = assign_splits(
        [_source_names(source, faces) for source, faces in sources],
        ingest.val_share,
        ingest.test_share,
        ingest.max_identities,
        ingest.seed,
    )
    split: list[tuple[Source, SourceFaces]] = []
    for (source, faces), splits in zip(sources, assigned.splits, strict=True):
        split.append((source, replace(faces, photos=_with_splits(faces.photos, splits))))
    own_pairs, chosen = _cut_folds(split, ingest.max_folds)
    if not any(len(faces.photos) for _, faces in chosen):
        raise DataError("There is no photograph to take in.", where="ingest.sources, ingest.root")
    _check_shares(assigned, ingest)
    return ChosenPhotos(chosen, assigned, own_pairs, sum(len(faces.photos) for _, faces in sources))


def _with_splits(photos: Photos, splits: Mapping[str, str | None]) -> Photos:
    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        coded = batch["identity"].dictionary_encode()
        split = pa.array([splits[name] for name in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)
        return with_column(batch, "split", split).filter(pc.is_valid(split))

    return photos.mapped(change)


def named_faces(pairs: Sequence[PairRecord], templates: Sequence[TemplateRecord]) -> set[str]:
    """The images and templates that pairs and templates name: all of which more than a row of a table is to be known."""
    of_pairs = {name for pair in pairs for name in (pair.image_a, pair.image_b)}
    return of_pairs | {name for row in templates for name in (row.template, row.image_id)}


def _source_names(source: Source, faces: SourceFaces) -> SourceNames:
    stated: dict[str, set[str]] = {}
    for batch in faces.photos.batches():
        for identity, split in set(zip(batch["identity"].to_pylist(), batch["split"].to_pylist(), strict=True)):
            stated.setdefault(identity, set()).update(() if split is None else (split,))
    name = f"{source.kind}: {source.path}"
    return SourceNames(name, source.split, {key: frozenset(value) for key, value in stated.items()}, faces.all_names)


def _cut_folds(
    sources: Sequence[tuple[Source, SourceFaces]], max_folds: int | None
) -> tuple[list[PairRecord], list[tuple[Source, SourceFaces]]]:
    templates = [row for _, faces in sources for row in faces.templates]
    named = named_faces([pair for _, faces in sources for pair in faces.pairs], templates)
    listed = (faces.photos.columns("image_id", "split") for _, faces in sources if named)
    split_of = {image_id: split for image_id, split in chain.from_iterable(listed) if image_id in named}
    split_of |= template_splits(templates, split_of)
    pairs: list[PairRecord] = []
    chosen: list[tuple[Source, SourceFaces]] = []
    for source, faces in sources:
        own = [
            pair
            for pair in faces.pairs
            if split_of.get(pair.image_a) == split_of.get(pair.image_b) == "test"
            and (max_folds is None or pair.fold < max_folds)
        ]
        pairs += own
        if faces.pairs and max_folds is not None:
            in_pairs = {face for pair in own for face in (pair.image_a, pair.image_b)}
            in_pairs |= {row.image_id for row in faces.templates if row.template in in_pairs}
            columns = faces.photos.columns("image_id", "split")
            stays = np.array([split != "test" or image_id in in_pairs for image_id, split in columns], np.bool_)
            faces = replace(faces, photos=faces.photos.filtered(stays))
        chosen.append((source, faces))
    return pairs, chosen


def _check_shares(assigned: Assignment, ingest: Ingest) -> None:
    counts = Counter(split for splits in assigned.splits for split in splits.values())
    for split, share in (("val", ingest.val_share), ("test", ingest.test_share)):
        if share > 0 and not counts[split]:
            raise DataError(
                f"Nobody is in {split}, on which later stages "
                + ("calibrate and choose." if split == "val" else "measure."),
                got=", ".join(f"{name} {counts[name]}" for name in SPLITS) + " identities",
                allowed=f"a folder {split}/ where the photographs lie in split folders, or {split}_share: 0 to do without",
                where=f"ingest.{split}_share: {share}",
            )
