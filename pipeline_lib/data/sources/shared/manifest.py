"""The one manifest, pairs table and rejects table made of all sources."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.packed import PackedTable, repeated
from pipeline_lib.data.sources.shared.choose import choose_photos, named_faces
from pipeline_lib.data.sources.shared.pairs import draw_pairs
from pipeline_lib.data.sources.shared.probe import probe_photos
from pipeline_lib.data.sources.shared.records import PairRecord, Photos, SourceFaces
from pipeline_lib.data.sources.shared.splits import Assignment
from pipeline_lib.data.sources.shared.tables import attribute_table, pair_table, template_table
from pipeline_lib.data.sources.shared.templates import Drawn, draw_templates, templates_that_stay
from pipeline_lib.params.ingest import Ingest, Source
from pipeline_lib.schemas.manifest import SPLITS, VIEWS

KEY = "[A-Za-z0-9_-]+"
log = logging.getLogger("face_verifier")


class BuiltManifest(NamedTuple):
    """The tables of the ingest stage, and what was counted on the way (for the log and the run's metrics)."""

    manifest: PackedTable
    pairs: pa.Table
    templates: pa.Table
    attributes: pa.Table
    rejects: pa.Table
    counts: dict[str, int]


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
    chosen = choose_photos(sources, ingest)
    sources, own_pairs, photos = chosen.sources, chosen.own_pairs, chosen.photos
    manifest, rejects, stays, is_usable = probe_photos(photos, ingest.max_pixels, ingest.max_reject_share)
    check_manifest(manifest)

    usable_photos = photos.filtered(is_usable)
    renamed = [_of_those_that_stay(pair, stays) for pair in own_pairs]
    different = [pair for pair in renamed if pair.image_a != pair.image_b]
    own_templates = [row for _, faces in sources for row in faces.templates]
    named = {*named_faces(renamed, own_templates), *stays.values()}
    usable = {image_id for image_id in manifest.column("image_id") if image_id in named} if named else set[str]()
    templates = templates_that_stay(own_templates, stays, usable)
    usable_faces = usable | {row.template for row in templates}
    unrejected = [pair for pair in different if pair.image_a in usable_faces and pair.image_b in usable_faces]
    kept = _two_sided(unrejected)
    drawn = _drawn_templates(usable_photos, ingest)
    pairs = _number_folds(kept + _drawn_pairs(sources, is_usable, ingest) + drawn.pairs)
    templates += drawn.templates
    counts = {
        "num_input": len(photos),
        "num_photos": manifest.num_rows,
        "num_rejects": rejects.num_rows,
        "num_copies": len(stays),
        "num_identities": len(manifest.unique("identity")),
        "num_overlaps_joined": chosen.assigned.num_joined,
        "num_overlaps_removed": chosen.assigned.num_removed,
        "num_train_identities_cut": chosen.assigned.num_cut,
        "num_photos_cut": chosen.num_listed - len(photos),
        "num_own_pairs_cut": sum(len(faces.pairs) for _, faces in sources) - len(own_pairs),
        "num_own_pairs_of_copies": len(own_pairs) - len(different),
        "num_own_pairs_rejected": len(different) - len(unrejected),
        "num_own_pairs_one_sided": len(unrejected) - len(kept),
        "num_pairs": len(pairs),
        "num_templates": len({row.template for row in templates}),
    }
    _log(counts, chosen.assigned, pairs)
    attributes = attribute_table(usable_photos)
    return BuiltManifest(manifest, pair_table(pairs), template_table(templates), attributes, rejects, counts)


def check_manifest(manifest: PackedTable) -> None:
    """Check what a schema cannot say.

    Raises:
        DataError: an image id twice or unfit as a key, an unknown split or view, an identity in two splits.
    """
    if doubles := sorted(repeated([manifest], "image_id")):
        raise DataError("The manifest has an image id twice.", got=doubles[:5], where="manifest.image_id")
    split_of = dict[str, str]()
    for batch in manifest.batches():
        ids = batch["image_id"]
        if unfit := ids.filter(pc.invert(pc.match_substring_regex(ids, rf"\A{KEY}\z"))).to_pylist():
            raise DataError("An image id is no WebDataset key.", got=unfit[:5], allowed=KEY, where="manifest.image_id")
        if unknown := sorted(set(batch["split"].unique().to_pylist()) - set(SPLITS), key=str):
            raise DataError("The manifest has an unknown split.", got=unknown, allowed=SPLITS, where="manifest.split")
        if unknown := sorted(set(batch["view"].unique().to_pylist()) - {None, *VIEWS}):
            raise DataError("The manifest has an unknown view.", got=unknown, allowed=VIEWS, where="manifest.view")
        for identity, split in sorted(set(zip(batch["identity"].to_pylist(), batch["split"].to_pylist(), strict=True))):
            if (other := split_of.setdefault(identity, split)) != split:
                got = f"{identity} in {' and '.join(sorted((other, split), key=SPLITS.index))}"
                raise DataError("An identity stands in two splits.", got=got, where="manifest.split")


def _of_those_that_stay(pair: PairRecord, stays: Mapping[str, str]) -> PairRecord:
    a, b = (stays.get(image, image) for image in (pair.image_a, pair.image_b))
    return PairRecord(pair.protocol, pair.fold, a, b, pair.genuine, pair.group)


def _drawn_templates(photos: Photos, ingest: Ingest) -> Drawn:
    if ingest.templates is None:
        return Drawn([], [])
    test = (photo for photo in photos if photo.split == "test")
    rng = np.random.default_rng([ingest.seed, *b"templates"])
    return draw_templates(test, ingest.templates, ingest.num_folds, rng)


def _drawn_pairs(
    sources: Sequence[tuple[Source, SourceFaces]], is_usable: npt.NDArray[np.bool_], ingest: Ingest
) -> list[PairRecord]:
    members: dict[str, list[tuple[str, str]]] = {}
    usable = iter(is_usable.tolist())
    for source, faces in sources:
        protocol_of = {"val": "val"} if faces.pairs else {"val": "val", "test": source.kind}
        for image_id, identity, split in faces.photos.columns("image_id", "identity", "split"):
            if next(usable) and split in protocol_of:
                members.setdefault(protocol_of[split], []).append((image_id, identity))
    num_folds = min(ingest.num_folds, ingest.max_folds or ingest.num_folds)
    pairs = []
    for protocol, group in sorted(members.items()):
        rng = np.random.default_rng([ingest.seed, *protocol.encode()])
        ids, identities = zip(*group, strict=True)
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
