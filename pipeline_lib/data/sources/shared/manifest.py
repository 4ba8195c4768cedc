"""The one manifest, pairs table and rejects table made of all sources."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.image_ids import check_image_ids
from pipeline_lib.data.sources.shared.names import join_names
from pipeline_lib.data.sources.shared.pairs import draw_pairs
from pipeline_lib.data.sources.shared.probe import probe_photos
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces
from pipeline_lib.data.sources.shared.splits import Assignment, SourceNames, assign_splits
from pipeline_lib.data.sources.shared.tables import attribute_table, pair_table, template_table
from pipeline_lib.data.sources.shared.templates import Drawn, draw_templates, template_splits, templates_that_stay
from pipeline_lib.params.ingest import Ingest, Source
from pipeline_lib.schemas.manifest import SPLITS, VIEWS

KEY = "[A-Za-z0-9_-]+"
log = logging.getLogger("face_verifier")


class BuiltManifest(NamedTuple):
    """The tables of the ingest stage, and what was counted on the way (for the log and the run's metrics)."""

    manifest: pa.Table
    pairs: pa.Table
    templates: pa.Table
    attributes: pa.Table
    rejects: pa.Table
    counts: dict[str, int]


class ChosenPhotos(NamedTuple):
    """What build_manifest takes in, before a photograph is looked at.

    The sources with each person under one name, the split of each identity and of each image id and template, the sources'
    pairs and the photographs that count.
    """

    sources: Sequence[tuple[Source, SourceFaces]]
    assigned: Assignment
    split_of: dict[str, str]
    own_pairs: list[PairRecord]
    photos: list[PhotoRecord]


def build_manifest(sources: Sequence[tuple[Source, SourceFaces]], ingest: Ingest) -> BuiltManifest:
    """Make one manifest of all sources: splits by identity, protocols, and a row in rejects for what cannot be used.

    1. Splits: see assign_splits; the same name in two sources is one person (see join_names). Identities left out take their
       photographs along.
    2. Protocols: a source's own pairs count where both photographs are test ones. Of each protocol at most `max_folds` folds
       stay, and none where genuine or impostor pairs only are left (a warning says so). A source with pairs of its own then
       keeps only those test photographs that are in a remaining one.
    3. Each remaining photograph is probed (see probe_photos); the rest of this function sees those that passed. A source's
       pairs of a copy are those of the photograph that stays; a pair of two copies of one photograph is left out. A template
       loses its unusable photographs, and its pairs where none is left.
    4. Pairs are drawn (see draw_pairs) for val, and for the test identities of each kind of source without own pairs; the
       protocol is called val, or as the kind. With ingest.templates, a protocol `templates` of all test people with many
       photographs comes last (see draw_templates).

    Returns:
        the tables (core/tables), where photographs probed = manifest rows + rejects rows; and counts.

    Raises:
        TooManyRejects: see probe_photos.
        DataError: see choose_photos; no genuine or no impostor pair to draw (see draw_pairs), or only one; too few photographs
            for templates (see draw_templates).
    """
    sources, assigned, split_of, own_pairs, photos = choose_photos(sources, ingest)
    manifest, rejects, stays = probe_photos(photos, split_of, ingest.max_pixels, ingest.max_reject_share)
    check_manifest(manifest)

    rejected = set(rejects["image_id"].to_pylist())
    renamed = [_of_those_that_stay(pair, stays) for pair in own_pairs]
    different = [pair for pair in renamed if pair.image_a != pair.image_b]
    usable = set(manifest["image_id"].to_pylist())
    templates = templates_that_stay([row for _, faces in sources for row in faces.templates], stays, usable)
    usable_faces = usable | {row.template for row in templates}
    unrejected = [pair for pair in different if pair.image_a in usable_faces and pair.image_b in usable_faces]
    kept = _two_sided(unrejected)
    drawn = _drawn_templates(photos, split_of, usable, ingest)
    pairs = _number_folds(kept + _drawn_pairs(sources, split_of, rejected, ingest) + drawn.pairs)
    templates += drawn.templates
    counts = {
        "num_input": len(photos),
        "num_photos": manifest.num_rows,
        "num_rejects": rejects.num_rows,
        "num_copies": len(stays),
        "num_identities": len(manifest["identity"].unique()),
        "num_overlaps_joined": assigned.num_joined,
        "num_overlaps_removed": assigned.num_removed,
        "num_train_identities_cut": assigned.num_cut,
        "num_photos_cut": sum(len(faces.photos) for _, faces in sources) - len(photos),
        "num_own_pairs_cut": sum(len(faces.pairs) for _, faces in sources) - len(own_pairs),
        "num_own_pairs_of_copies": len(own_pairs) - len(different),
        "num_own_pairs_rejected": len(different) - len(unrejected),
        "num_own_pairs_one_sided": len(unrejected) - len(kept),
        "num_pairs": len(pairs),
        "num_templates": len({row.template for row in templates}),
    }
    _log(counts, assigned, pairs)
    attributes = attribute_table(photos, usable)
    return BuiltManifest(manifest, pair_table(pairs), template_table(templates), attributes, rejects, counts)


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
    split_of: dict[str, str] = {}
    for (_, faces), splits in zip(sources, assigned.splits, strict=True):
        split_of |= {photo.image_id: split for photo in faces.photos if (split := splits[photo.identity]) is not None}
    split_of |= template_splits([row for _, faces in sources for row in faces.templates], split_of)
    own_pairs, photos = _cut_folds(sources, split_of, ingest.max_folds)
    if not photos:
        raise DataError("There is no photograph to take in.", where="ingest.sources, ingest.root")
    _check_shares(assigned, ingest)
    return ChosenPhotos(sources, assigned, split_of, own_pairs, photos)


def check_manifest(table: pa.Table) -> None:
    """Check what a schema cannot say.

    Raises:
        DataError: an image id twice or unfit as a key, an unknown split or view, an identity in two splits.
    """
    ids, splits = table["image_id"], table["split"].unique().to_pylist()
    if doubles := _repeated(ids):
        raise DataError("The manifest has an image id twice.", got=doubles[:5], where="manifest.image_id")
    if unfit := ids.filter(pc.invert(pc.match_substring_regex(ids, rf"\A{KEY}\z"))).to_pylist():
        raise DataError("An image id is no WebDataset key.", got=unfit[:5], allowed=KEY, where="manifest.image_id")
    if unknown := sorted(set(splits) - set(SPLITS), key=str):
        raise DataError("The manifest has an unknown split.", got=unknown, allowed=SPLITS, where="manifest.split")
    if unknown := sorted(set(table["view"].unique().to_pylist()) - {None, *VIEWS}):
        raise DataError("The manifest has an unknown view.", got=unknown, allowed=VIEWS, where="manifest.view")
    stated = table.select(["identity", "split"]).group_by(["identity", "split"], use_threads=False).aggregate([])
    if torn := _repeated(stated["identity"]):
        found = stated.filter(pc.equal(stated["identity"], torn[0]))["split"].to_pylist()
        got = f"{torn[0]} in {' and '.join(found)}"
        raise DataError("An identity stands in two splits.", got=got, where="manifest.split")


def _repeated(column: pa.ChunkedArray) -> list[str]:
    """The texts that come more than once."""
    counted = pc.value_counts(column)
    texts: list[str] = counted.filter(pc.greater(counted.field("counts"), 1)).field("values").to_pylist()
    return texts


def _source_names(source: Source, faces: SourceFaces) -> SourceNames:
    stated: dict[str, set[str]] = {}
    for photo in faces.photos:
        stated.setdefault(photo.identity, set()).update(() if photo.split is None else (photo.split,))
    name = f"{source.kind}: {source.path}"
    return SourceNames(name, source.split, {key: frozenset(value) for key, value in stated.items()}, faces.all_names)


def _cut_folds(
    sources: Sequence[tuple[Source, SourceFaces]], split_of: Mapping[str, str], max_folds: int | None
) -> tuple[list[PairRecord], list[PhotoRecord]]:
    pairs: list[PairRecord] = []
    photos: list[PhotoRecord] = []
    for _, faces in sources:
        own = [
            pair
            for pair in faces.pairs
            if split_of.get(pair.image_a) == split_of.get(pair.image_b) == "test"
            and (max_folds is None or pair.fold < max_folds)
        ]
        pairs += own
        in_pairs = {face for pair in own for face in (pair.image_a, pair.image_b)}
        in_pairs |= {row.image_id for row in faces.templates if row.template in in_pairs}
        cut = bool(faces.pairs) and max_folds is not None
        photos += [
            photo
            for photo in faces.photos
            if (split := split_of.get(photo.image_id)) and (not cut or split != "test" or photo.image_id in in_pairs)
        ]
    return pairs, photos


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


def _of_those_that_stay(pair: PairRecord, stays: Mapping[str, str]) -> PairRecord:
    a, b = (stays.get(image, image) for image in (pair.image_a, pair.image_b))
    return PairRecord(pair.protocol, pair.fold, a, b, pair.genuine, pair.group)


def _drawn_templates(
    photos: Sequence[PhotoRecord], split_of: Mapping[str, str], usable: set[str], ingest: Ingest
) -> Drawn:
    if ingest.templates is None:
        return Drawn([], [])
    test = [photo for photo in photos if photo.image_id in usable and split_of[photo.image_id] == "test"]
    rng = np.random.default_rng([ingest.seed, *b"templates"])
    return draw_templates(test, ingest.templates, ingest.num_folds, rng)


def _drawn_pairs(
    sources: Sequence[tuple[Source, SourceFaces]],
    split_of: Mapping[str, str],
    rejected: set[str],
    ingest: Ingest,
) -> list[PairRecord]:
    members: dict[str, list[PhotoRecord]] = {}
    for source, faces in sources:
        protocol_of = {"val": "val"} if faces.pairs else {"val": "val", "test": source.kind}
        for photo in faces.photos:
            protocol = protocol_of.get(split_of.get(photo.image_id, ""))
            if protocol is not None and photo.image_id not in rejected:
                members.setdefault(protocol, []).append(photo)
    num_folds = min(ingest.num_folds, ingest.max_folds or ingest.num_folds)
    pairs = []
    for protocol, group in sorted(members.items()):
        rng = np.random.default_rng([ingest.seed, *protocol.encode()])
        ids, identities = [photo.image_id for photo in group], [photo.identity for photo in group]
        drawn = draw_pairs(ids, identities, num_folds, ingest.pairs_per_fold, rng, protocol)
        if len({pair.fold for pair in drawn}) < 2:
            raise DataError(
                f"The protocol {protocol} has one genuine pair; K-fold verification needs two folds.",
                got=f"{len(ids)} photographs of {len(set(identities))} identities",
                allowed="two identities with two photographs, or one with three beside another",
                where="ingest: add photographs, or raise val_share or test_share",
            )
        pairs += [PairRecord(protocol, pair.fold, pair.image_a, pair.image_b, pair.genuine) for pair in drawn]
    return pairs


def _number_folds(pairs: Sequence[PairRecord]) -> list[PairRecord]:
    # Overlap removal and rejects may empty a fold; those left are counted from 0 without a gap.
    folds = sorted({(pair.protocol, pair.fold) for pair in pairs})
    first = {protocol: position for position, (protocol, _) in reversed(list(enumerate(folds)))}
    number = {(protocol, fold): position - first[protocol] for position, (protocol, fold) in enumerate(folds)}
    return [PairRecord(p.protocol, number[p.protocol, p.fold], p.image_a, p.image_b, p.genuine, p.group) for p in pairs]


def _two_sided(pairs: Sequence[PairRecord]) -> list[PairRecord]:
    """Leave out protocols that have genuine or impostor pairs only: nothing can be verified on them."""
    sorts: dict[str, set[bool]] = {}
    for pair in pairs:
        sorts.setdefault(pair.protocol, set()).add(pair.genuine)
    for protocol, found in sorts.items():
        if len(found) < 2:
            left = "genuine" if found == {True} else "impostor"
            log.warning("protocol %s is left out: only %s pairs of it are among test photographs", protocol, left)
    return [pair for pair in pairs if len(sorts[pair.protocol]) == 2]


def _log(counts: Mapping[str, int], assigned: Assignment, pairs: Sequence[PairRecord]) -> None:
    if assigned.num_joined or assigned.num_removed:
        log.info(
            "overlaps by name: %d identities joined the split that another source fixes, %d were removed from their own",
            assigned.num_joined,
            assigned.num_removed,
        )
    log.info(", ".join(f"{name[4:]} {value}" for name, value in counts.items()))
    protocols = Counter(pair.protocol for pair in pairs)
    log.info("pairs: %s", ", ".join(f"{name} {count}" for name, count in sorted(protocols.items())) or "none")
    if "val" not in protocols:
        log.warning("no val pairs: calibration and the region weights' check need some (ingest.val_share)")
