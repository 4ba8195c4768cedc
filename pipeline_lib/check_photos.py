"""The photographs, checked before the first stage: entries nobody can read, and too few people for what params want of them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.check import trained
from pipeline_lib.core.kinds import checked, load_kind
from pipeline_lib.data.photos.bad_entries import check_entries
from pipeline_lib.data.sources.shared.choose import choose_photos
from pipeline_lib.data.sources.shared.image_ids import distinct_image_ids
from pipeline_lib.data.sources.shared.read import KINDS, source_place
from pipeline_lib.data.sources.shared.records import SourceFaces
from pipeline_lib.data.sources.shared.splits import TooFewPeople
from pipeline_lib.matching.anchors.shared.settings import anchor_kind
from pipeline_lib.params.ingest import Source
from pipeline_lib.params.networks import Network
from pipeline_lib.params.section import NONE
from pipeline_lib.params.whole import Params
from pipeline_lib.schemas.manifest import SPLITS

# What a set too small to train on can do instead.
UNTRAINED = "untrained"
Listed = list[tuple[Source, SourceFaces]]


@dataclass(frozen=True)
class People:
    """How many people a split has, how many with two photographs or more, and their photographs, whatever these are worth."""

    num: int
    num_several: int
    num_photos: int

    @property
    def have_two_folds(self) -> bool:
        """Whether two genuine pairs can be drawn of them, and impostor pairs: what two folds take."""
        one_with_three = self.num_several == 1 and self.num_photos >= self.num + 2
        return self.num >= 2 and (self.num_several >= 2 or one_with_three)


def check_photos(params: Params, folder: Path) -> None:
    """Look at what ingest would take in; nothing is opened, fetched or written.

    Photographs that are rejected later are counted here, so a set that passes may still turn out too small. A source that
    is not here yet (LFW is fetched) is left to ingest, and so are then all numbers.

    Args:
        folder: the repository's, from which ingest.root starts.

    Raises:
        DataError: see check_entries, the sources' read, choose_photos.
        TooFewPeople: see choose_photos, check_people, check_pairs; where that would help, it names the scale without training.
    """
    sources = listed_sources(params, folder)
    if sources is None:
        return
    try:
        check_numbers(params, sources)
    except TooFewPeople as error:
        if not can_do_untrained(params):
            raise
        hint = f"or train nothing: SCALE={UNTRAINED} (scale={UNTRAINED}) takes published networks as they are"
        raise TooFewPeople(f"{error}\n  {hint}") from error


def listed_sources(params: Params, folder: Path) -> Listed | None:
    """What every source lists; None where one is fetched and not here yet. Raises as check_photos."""
    root = folder / params.ingest.root
    if root.is_dir():
        check_entries(root)
    sections, listed = params.model_dump(), list[SourceFaces]()
    for number, source in enumerate(params.ingest.sources):
        where = f"ingest.sources[{number}]"
        module = load_kind(KINDS, source.kind, where)
        place = source_place(source, module, root)
        if hasattr(module, "make"):
            listed.append(
                module.plan(checked(module.Settings, sections.get(source.kind, {}), where), Path(source.kind))
            )
        elif hasattr(module, "FETCHES") and not (Path(place).is_dir() and any(Path(place).iterdir())):
            return None
        elif hasattr(module, "unpack"):
            listed.append(module.unpack(place, Path(source.kind), write=False))
        else:
            listed.append(module.read(place))
    return list(zip(params.ingest.sources, distinct_image_ids(listed, root), strict=True))


def can_do_untrained(params: Params) -> bool:
    """Whether something is trained that could be left out, and a published network be taken in its place."""
    entries = trained(params).values()
    return any(entry.epochs for entry in entries) and any(not network.epochs for network in params.networks.values())


def count_people(identities: Iterable[str]) -> People:
    """Of the identity of each photograph."""
    counts = Counter(identities)
    return People(len(counts), sum(count > 1 for count in counts.values()), counts.total())


def check_pairs(people: People, key: str) -> None:
    """Hold the people that pairs are drawn from against what telling them apart takes; raises TooFewPeople."""
    wanted = "two people, one of them with three photographs or two of them with two"
    _need(people.have_two_folds, key, f"{wanted}, to draw genuine and impostor pairs from", people)


def check_numbers(params: Params, sources: Listed) -> None:
    """Hold the people that the sources list against the parameters; raises as check_photos, and names no other scale."""
    chosen = choose_photos(sources, params.ingest)
    identities: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for identity, split in chosen.photos.columns("identity", "split"):
        identities[split][identity] += 1
    people = {split: count_people(names.elements()) for split, names in identities.items()}
    check_people(params, people)
    drawn = {"val", "test"} if not any(faces.pairs for _, faces in sources) else {"val"}
    for split in sorted(drawn):
        if people[split].num:
            check_pairs(people[split], f"ingest.{split}_share")


def check_people(params: Params, people: Mapping[str, People]) -> None:
    """Hold the people of each split against what every stage needs of them.

    Raises:
        TooFewPeople: names the key that wants more than there are.
    """
    train, test = people["train"], people["test"]
    for key, entry in trained(params).items():
        if not entry.epochs:
            continue
        if not (isinstance(entry, Network) and entry.teacher != NONE):  # a teacher's students need no labels
            _need(train.num >= 2, key, "two identities to train on", train)
        occluded = params.occlude.train_share if params.train.use_occluded and key != "regions.network" else 0.0
        most = train.num_photos + math.ceil(occluded * train.num_photos)
        size = params.train.batch_size
        _need(most >= size, "train.batch_size", f"{size} photographs to train on, a batch of {key}", train)
    for name, weights in params.regions.weights.items():
        folds = weights.num_cross_validation_folds
        key = f"regions.weights.{name}.num_cross_validation_folds"
        wanted = f"two training identities for each of {folds} folds, one of the two with two photographs"
        _need(train.num >= 2 * folds and train.num_several >= folds, key, wanted, train)
    for name, anchors in params.anchors.items():
        own_people = anchor_kind(anchors, f"anchors.{name}")[0].OF_TRAINING
        beside = f"{anchors.num_neighbours} training identities beside one's own"
        enough = train.num > anchors.num_neighbours if own_people else train.num > 1
        _need(enough, f"anchors.{name}.num_neighbours", beside if own_people else "two training identities", train)
    if params.scores:
        wanted = "identities in val or test to draw pairs from"
        _need(people["val"].num + test.num > 0, "ingest.val_share, ingest.test_share: scores", wanted, test)
    for name in params.explanations:
        _need(
            test.num >= 2 and test.num_several >= 1, f"explanations.{name}", "a genuine and an impostor test pair", test
        )
    for name in params.rerank:
        _need(test.num_several >= 1, f"rerank.{name}", "a test identity with two photographs", test)


def _need(is_met: bool, key: str, wanted: str, there: People) -> None:
    if not is_met:
        raise TooFewPeople(
            "There are too few photographs for the parameters; add some, or change the key.",
            got=f"{there.num} identities, {there.num_several} with two photographs or more, {there.num_photos} in all",
            allowed=f"at least {wanted}",
            where=f"params.yaml, {key}",
        )
