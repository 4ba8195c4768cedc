"""Labeled Faces in the Wild (Huang et al., 2007), in its official layout or fetched by scikit-learn."""

import logging
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError, DownloadError
from pipeline_lib.core.files import atomic_dir
from pipeline_lib.data.photos.folder import visible
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, as_photos, make_image_id
from pipeline_lib.data.sources.shared.text_tables import read_text

# Ours, then what the official archives and scikit-learn's fetcher unpack to.
IMAGE_FOLDERS = ("images", "lfw_funneled", "lfw-deepfunneled", "lfw")
log = logging.getLogger("face_verifier")


@dataclass(frozen=True)
class LfwPair:
    """One line of pairs.txt: two (name, number) as in Aaron_Eckhart_0001.jpg; genuine where the line has one name."""

    fold: int
    a: tuple[str, int]
    b: tuple[str, int]
    genuine: bool


FILE = "A file of LFW"
FETCHES = True  # what is not here


def read(folder: Path) -> SourceFaces:
    """Read <images>/<Name>/<Name>_NNNN.jpg and pairs.txt below `folder`; fetch both if `folder` is not there or is empty.

    The protocol is called lfw. all_names are those of lfw-names.txt where it is there, so that a copy with a part of the
    photographs still keeps everybody LFW names out of a training set; else the folders' names.

    Raises:
        DataError: the folder has another layout, pairs.txt is malformed, or photographs of its pairs are missing.
        DownloadError: there is no local copy and fetching one failed.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        fetch_lfw(folder)
    images = next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), None)
    if images is None:
        raise DataError("LFW's folder of photographs is missing.", allowed=" or ".join(IMAGE_FOLDERS), where=folder)
    photos = [_photo(path) for path in visible(images, "*/*.jpg")]
    identities = {photo.image_id: photo.identity for photo in photos}
    pairs = [_pair(pair) for pair in parse_pairs(read_text(folder / "pairs.txt", FILE), folder / "pairs.txt")]
    missing = {image for pair in pairs for image in (pair.image_a, pair.image_b)} - identities.keys()
    if missing:
        raise DataError(
            f"{len(missing)} photographs of LFW's pairs are not here.", got=sorted(missing)[:5], where=images
        )
    names_file = folder / "lfw-names.txt"
    names = (
        {line.split()[0] for line in read_text(names_file, FILE).splitlines() if line.strip()}
        if names_file.is_file()
        else set()
    )
    return SourceFaces(
        as_photos(photos), pairs, frozenset(identities.values()) | {normalise_name(name) for name in names}
    )


def parse_pairs(text: str, where: Path) -> list[LfwPair]:
    """Parse pairs.txt: "<folds> <n>", then per fold n lines "name i j" (genuine) and n lines "name i name j" (impostor).

    Raises:
        DataError: the number of lines differs from the header's, or a line has other fields; names the line.
    """
    lines = [line.split() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    header = lines[0] if lines else []
    if len(header) != 2 or not all(field.isdecimal() for field in header):
        raise DataError(
            "LFW's pairs.txt has no header.", got=" ".join(header), allowed="<folds> <pairs>, as 10 300", where=where
        )
    num_folds, num_pairs = (int(field) for field in header)
    if len(lines) != 1 + 2 * num_folds * num_pairs:
        raise DataError(
            "LFW's pairs.txt has another number of pairs than its header says.",
            got=len(lines) - 1,
            allowed=2 * num_folds * num_pairs,
            where=where,
        )
    pairs = []
    for number, fields in enumerate(lines[1:]):
        fold, place = divmod(number, 2 * num_pairs)
        genuine = place < num_pairs
        digits = [fields[i] for i in ((1, 2) if genuine else (1, 3)) if i < len(fields)]
        if len(fields) != (3 if genuine else 4) or not all(digit.isdecimal() for digit in digits):
            allowed = "name i j" if genuine else "name i name j"
            raise DataError(
                "A line of LFW's pairs.txt is malformed.",
                got=" ".join(fields),
                allowed=allowed,
                where=f"{where}:{number + 2}",
            )
        pairs.append(LfwPair(fold, (fields[0], int(digits[0])), (fields[0 if genuine else 2], int(digits[1])), genuine))
    return pairs


def fetch_lfw(folder: Path) -> None:
    """Fetch the funneled photographs and the pair lists into `folder` with scikit-learn's fetcher (about 230 MB, hash-checked).

    `folder` appears only when everything is there: the fetcher itself would take a half-unpacked archive for a whole one.

    Raises:
        DownloadError: no network, a wrong hash, a damaged archive, or no place to write.
    """
    from sklearn.datasets import fetch_lfw_pairs

    log.info("no LFW in %s: fetching it (about 230 MB)", folder)
    try:
        with atomic_dir(folder) as partial:
            # The fetcher has no mode that only downloads; the development test set is the smallest it can read afterwards.
            fetch_lfw_pairs(subset="test", data_home=str(partial), funneled=True)
            home = partial / "lfw_home"
            for path in home.iterdir():
                if path.name not in ("joblib", ".gitignore"):  # its cache of the pixels, which nobody reads again
                    path.replace(partial / path.name)
            shutil.rmtree(home)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DownloadError(
            "LFW could not be fetched; give a local copy as the source's path, or try again.",
            got=error,
            allowed=f"a folder with {IMAGE_FOLDERS[0]}/<Name>/<Name>_0001.jpg and pairs.txt",
            where=folder,
        ) from error


def _image_id(name: str, number: int) -> str:
    return make_image_id("lfw", f"{name}_{number:04d}")


def _photo(path: Path) -> PhotoRecord:
    name, _, number = path.stem.rpartition("_")
    if name != path.parent.name or not number.isdecimal():
        raise DataError(
            "A file of LFW is not named after its folder.", got=path.name, allowed="<Name>_0001.jpg", where=path.parent
        )
    image_id = _image_id(name, int(number))
    return PhotoRecord(image_id, normalise_name(name), str(path), None, image_id)


def _pair(pair: LfwPair) -> PairRecord:
    return PairRecord("lfw", pair.fold, _image_id(*pair.a), _image_id(*pair.b), pair.genuine)
