"""Templates: those of sources without what was rejected, and those drawn of people with many photographs."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, TemplateRecord, make_image_id
from pipeline_lib.params.ingest import DrawnTemplates

PROTOCOL = "templates"
# A block of pairs is scored at once (scores/shared/columns.py): as a tile it has few templates, each of many images.
TILE_PROBES, TILE_GALLERY = 16, 32


class Drawn(NamedTuple):
    """The templates' images, and the pairs of templates."""

    templates: list[TemplateRecord]
    pairs: list[PairRecord]


def template_splits(templates: Sequence[TemplateRecord], split_of: Mapping[str, str]) -> dict[str, str]:
    """The split of each template: that of its images; none where no image has one.

    Args:
        split_of: image id -> split, of the images that templates name and of those that are named as one.

    Raises:
        DataError: a template is named as an image is.
    """
    if named := sorted({row.template for row in templates} & split_of.keys()):
        raise DataError("A template has the name of an image.", got=named[:5], allowed="names of its own")
    return {row.template: split_of[row.image_id] for row in templates if row.image_id in split_of}


def templates_that_stay(
    templates: Sequence[TemplateRecord], stays: Mapping[str, str], kept: Container[str]
) -> list[TemplateRecord]:
    """The templates with their usable images: of a copy the photograph that stays, once a medium.

    Args:
        stays: copy -> the photograph that stays.
        kept: the image ids that can be used.
    """
    rows = [
        TemplateRecord(row.template, stays.get(row.image_id, row.image_id), row.media, row.weight) for row in templates
    ]
    first = {(row.template, row.media, row.image_id): row for row in reversed(rows)}
    return [row for row in reversed(first.values()) if row.image_id in kept]


def draw_templates(
    photos: Iterable[PhotoRecord], drawn: DrawnTemplates, num_folds: int, rng: np.random.Generator
) -> Drawn:
    """Two templates of each person with many photographs, and their pairs: the probes `a` against the gallery of all `b`.

    The two halves share no medium, so no frame of one video is on both sides. Each drawn probe meets the whole gallery, so
    that ranks can be told; the others meet their own person's template only, and count among genuine pairs.

    Args:
        photos: those of the test people that can be used.
        drawn: params.
        num_folds: a pair is in the fold of its probe's person; the gallery's recur in all.
        rng: the result depends on it and on the set of photographs, not on their order.

    Raises:
        DataError: fewer than two people have so many photographs, in two media.
    """
    media_of: dict[str, dict[str, list[str]]] = {}
    for identity, media, image_id in sorted((photo.identity, photo.media, photo.image_id) for photo in photos):
        media_of.setdefault(identity, {}).setdefault(media, []).append(image_id)
    people = [
        name for name, media in media_of.items() if len(media) > 1 and sum(map(len, media.values())) >= drawn.min_images
    ]
    if len(people) < 2:
        raise DataError(
            "Templates cannot be drawn: too few test people have that many photographs.",
            got=f"{len(people)} of {len(media_of)} with {drawn.min_images} or more, in two videos or sessions at least",
            allowed="two people",
            where="ingest.templates.min_images",
        )
    templates = [row for name in people for row in _halves(name, media_of[name], rng)]
    return Drawn(templates, list(_pairs(people, drawn.max_impostors, min(num_folds, len(people)), rng)))


def _name(person: str, half: str) -> str:
    return make_image_id("template", person, half)


def _halves(person: str, media: Mapping[str, Sequence[str]], rng: np.random.Generator) -> Iterator[TemplateRecord]:
    """The media in a drawn order, cut where the numbers of images differ least."""
    names = list(media)
    order = [names[i] for i in rng.permutation(len(names))]
    before = np.cumsum([len(media[name]) for name in order])
    cut = 1 + int(np.argmin(np.abs(2 * before[:-1] - before[-1])))
    for half, chosen in (("a", order[:cut]), ("b", order[cut:])):
        for name in chosen:
            for image_id in media[name]:
                yield TemplateRecord(_name(person, half), image_id, name)


def _pairs(
    people: Sequence[str], max_impostors: int | None, num_folds: int, rng: np.random.Generator
) -> Iterator[PairRecord]:
    num = len(people)
    order = rng.permutation(num)
    num_probes = num if max_impostors is None else min(num, max(1, max_impostors // (num - 1)))
    fold_of = np.empty(num, np.int64)
    fold_of[order] = np.arange(num) % num_folds

    def pair(i: int, j: int) -> PairRecord:
        return PairRecord(PROTOCOL, int(fold_of[i]), _name(people[i], "a"), _name(people[j], "b"), i == j)

    probes, others = np.sort(order[:num_probes]).tolist(), np.sort(order[num_probes:]).tolist()
    for first in range(0, num_probes, TILE_PROBES):
        for start in range(0, num, TILE_GALLERY):
            for i in probes[first : first + TILE_PROBES]:
                for j in range(start, min(num, start + TILE_GALLERY)):
                    yield pair(i, j)
    for i in others:
        yield pair(i, i)
