"""Celebrities in Frontal-Profile (Sengupta et al., WACV 2016), in its official layout."""

from collections.abc import Mapping
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import visible
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, as_photos, make_image_id
from pipeline_lib.schemas.manifest import FRONTAL, PROFILE

# The archive calls the numbered lists Pair_list_*, copies of it image_list_*.
LIST_NAMES = ("Pair_list_{view}.txt", "image_list_{view}.txt")
# Protocol -> which list the first and the second column of its pairs count in.
PROTOCOLS = {"FF": ("F", "F"), "FP": ("F", "P")}


def read(folder: Path) -> SourceFaces:
    """Read Data/Images/<number>/{frontal,profile}/NN.jpg, the names of Data/list_name.txt, and the protocols FF and FP.

    The n-th line of list_name.txt names folder n. Protocol/Split/{FF,FP}/NN/{same,diff}.txt hold "i,j" counted from 1: in FF both
    in the frontal list, in FP the first in the frontal and the second in the profile list. They become the protocols cfp_ff
    and cfp_fp, fold NN - 1. The 30 fiducials a photograph are not our five landmarks and are not read.

    Raises:
        DataError: a file of the layout is missing or malformed, a pair names a photograph that is not here, or a pair's list
            (same, diff) contradicts the folders.
    """
    names = [normalise_name(line) for line in _lines(folder / "Data/list_name.txt")]
    if len(set(names)) != len(names):
        double = sorted({name for name in names if names.count(name) > 1})
        raise DataError("CFP's list of names has a name twice.", got=double, where=folder / "Data/list_name.txt")
    photos = [
        _photo(path, names, folder)
        for path in visible(folder / "Data/Images", "*/*/*.jpg")
        if path.parent.name in (FRONTAL, PROFILE)
    ]
    if not photos:
        raise DataError("CFP holds no photographs.", allowed="Data/Images/<number>/frontal/<number>.jpg", where=folder)
    identities = {photo.image_id: photo.identity for photo in photos}
    lists = {view: _image_list(folder, view) for view in ("F", "P")}
    pairs = [pair for protocol in PROTOCOLS for pair in _pairs(folder, protocol, lists, identities)]
    missing = {image for pair in pairs for image in (pair.image_a, pair.image_b)} - identities.keys()
    if missing:
        raise DataError(
            f"{len(missing)} photographs of CFP's pairs are not here.",
            got=sorted(missing)[:5],
            where=folder / "Data/Images",
        )
    return SourceFaces(as_photos(photos), pairs, frozenset(names))


def _image_id(number: str, view: str, stem: str) -> str:
    return make_image_id("cfp", number, view, stem)


def _photo(path: Path, names: list[str], folder: Path) -> PhotoRecord:
    number, view = path.parent.parent.name, path.parent.name
    if not number.isdecimal() or not 1 <= int(number) <= len(names):
        raise DataError(
            "A CFP folder has no name in Data/list_name.txt.",
            got=number,
            allowed=f"001 to {len(names):03d}",
            where=folder / "Data/Images",
        )
    image_id = _image_id(number, view, path.stem)
    return PhotoRecord(image_id, names[int(number) - 1], str(path), None, image_id, view=view)


def _image_list(folder: Path, view: str) -> dict[int, str]:
    candidates = [folder / "Protocol" / name.format(view=view) for name in LIST_NAMES]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DataError(
            "A list of CFP is missing.", allowed=" or ".join(c.name for c in candidates), where=folder / "Protocol"
        )
    images = {}
    for line in _lines(path):
        fields = line.split()
        parts = Path(fields[-1]).parts[-3:]
        if len(fields) != 2 or not fields[0].isdecimal() or len(parts) != 3:
            raise DataError(
                "A line of a CFP list is malformed.",
                got=line,
                allowed="<index> Data/Images/001/frontal/01.jpg",
                where=path,
            )
        images[int(fields[0])] = _image_id(parts[0], parts[1], Path(parts[2]).stem)
    return images


def _pairs(
    folder: Path, protocol: str, lists: Mapping[str, Mapping[int, str]], identities: Mapping[str, str]
) -> list[PairRecord]:
    folds = visible(folder / "Protocol/Split" / protocol, "*/")
    if not folds:
        raise DataError("A protocol of CFP is missing.", where=folder / "Protocol/Split" / protocol)
    pairs = []
    for fold, split in enumerate(folds):
        for name, genuine in (("same.txt", True), ("diff.txt", False)):
            for line in _lines(split / name):
                fields = [field.strip() for field in line.split(",")]
                columns = [lists[view] for view in PROTOCOLS[protocol]]
                if len(fields) != 2 or any(
                    not f.isdecimal() or int(f) not in c for f, c in zip(fields, columns, strict=True)
                ):
                    raise DataError("A pair of CFP is no two indices of its lists.", got=line, where=split / name)
                a, b = (column[int(index)] for index, column in zip(fields, columns, strict=True))
                if a in identities and b in identities and (identities[a] == identities[b]) != genuine:
                    raise DataError("A pair of CFP contradicts the folders.", got=f"{a}, {b}", where=split / name)
                pairs.append(PairRecord(f"cfp_{protocol.lower()}", fold, a, b, genuine))
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise DataError("A file of CFP is missing.", where=path) from None
    except UnicodeDecodeError as error:
        raise DataError("A file of CFP is no UTF-8 text.", got=error, where=path) from error
