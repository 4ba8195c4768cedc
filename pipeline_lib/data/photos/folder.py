"""What in a folder is a photograph, by its name: systems and programs put files and folders of their own beside them."""

import re
from collections import Counter
from pathlib import Path

# As JPEG, PNG, WebP, BMP, TIFF and PGM/PPM files are called.
PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".pgm", ".ppm", ".pbm", ".pnm"),
)
# Photographs that cannot be read here: rejects, which say so, where a text beside a photograph is just left out.
UNREAD_SUFFIXES = (".heic", ".heif", ".avif", ".gif", ".jxl", ".jp2", ".j2k")
# Thumbnails, resource forks and bins of macOS, Synology, QNAP and Windows; what begins with a dot is out as well.
SYSTEM_NAMES = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "Icon\r"}
)
SUFFIX = re.compile(r"\.[A-Za-z][^ ]*")  # "Dr. Smith" and "0001.0002" have none


def is_systems(name: str) -> bool:
    """Whether an entry of this name was put there by an operating system, and is nobody's photograph or folder of them."""
    return name.startswith(".") or name in SYSTEM_NAMES


def is_photo_name(name: str) -> bool:
    """Whether a file of this name counts as a photograph: it has a picture's suffix, or none at all.

    So sidecars do not: XMP, AAE, Takeout's JSON, Thumbs.db, desktop.ini, `:Zone.Identifier`, a telephone's video.
    """
    suffix = Path(name).suffix.lower()
    return suffix in PHOTO_SUFFIXES or suffix in UNREAD_SUFFIXES or not SUFFIX.fullmatch(suffix)


def entries(folder: Path, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    """The folders and the photographs in `folder`, each sorted.

    Args:
        folder: exists.
        left_out: other files are counted here by suffix, and links that lead to a folder they lie in.

    Raises:
        OSError: the folder cannot be read.
    """
    folders, photographs = [], []
    for path in sorted(path for path in folder.iterdir() if not is_systems(path.name)):
        if path.is_dir():
            if path.is_symlink() and folder.resolve().is_relative_to(path.resolve()):
                left_out["link to its own parent"] += 1
            else:
                folders.append(path)
        elif is_photo_name(path.name):
            photographs.append(path)
        else:
            left_out[Path(path.name).suffix.lower()] += 1
    return folders, photographs


def visible(folder: Path, pattern: str) -> list[Path]:
    """What of `folder` matches the glob `pattern` and is not the system's, sorted."""
    found = sorted(folder.glob(pattern))
    return [path for path in found if not any(map(is_systems, path.relative_to(folder).parts))]
