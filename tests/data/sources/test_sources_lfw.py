"""LFW: pairs.txt, the layouts, missing photographs, and the fetcher against a server on the loopback."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import _lfw
from sklearn.datasets._base import RemoteFileMetadata

from pipeline_lib.core.errors import DataError, DownloadError
from pipeline_lib.data.sources import lfw
from pipeline_lib.data.sources.lfw import LfwPair, fetch_lfw, parse_pairs
from pipeline_lib.data.sources.shared.records import PairRecord

PAIRS = "2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t2\tBob_Ray_Jr\t1\nBob_Ray_Jr\t1\t3\nCem\t1\tAnn_Lee\t1\n"
PHOTOS = {"Ann_Lee": 2, "Bob_Ray_Jr": 3, "Cem": 1}


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((250, 250, 3), value, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def make_lfw(root: Path, images: str = "images") -> Path:
    for name, count in PHOTOS.items():
        (root / images / name).mkdir(parents=True)
        for number in range(1, count + 1):
            (root / images / name / f"{name}_{number:04d}.jpg").write_bytes(jpeg(40 * number))
    (root / "pairs.txt").write_text(PAIRS)
    return root


def test_pairs_txt_golden() -> None:
    assert parse_pairs(PAIRS, Path("pairs.txt")) == [
        LfwPair(0, ("Ann_Lee", 1), ("Ann_Lee", 2), True),
        LfwPair(0, ("Ann_Lee", 2), ("Bob_Ray_Jr", 1), False),
        LfwPair(1, ("Bob_Ray_Jr", 1), ("Bob_Ray_Jr", 3), True),
        LfwPair(1, ("Cem", 1), ("Ann_Lee", 1), False),
    ]
    assert parse_pairs(PAIRS.replace("\t", " ") + "\n\n", Path("pairs.txt")) == parse_pairs(PAIRS, Path("pairs.txt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no header"),
        ("Ann 1 2\n", "has no header"),
        ("1 1\nAnn 1 2\n", r"(?s)another number of pairs.*got: 1.*allowed: 2"),
        ("1 1\nAnn 1 2\nAnn 1 Bob 1\nAnn 1 2\n", r"(?s)another number of pairs.*got: 3"),
        ("1 1\nAnn 1 Bob 1\nAnn 1 2\n", r"(?s)malformed.*Ann 1 Bob 1.*pairs\.txt:2"),
        ("1 1\nAnn 1 2\nAnn 1 Bob one\n", r"(?s)malformed.*pairs\.txt:3"),
        ("1 1\nAnn 1 2\n\n", "another number of pairs"),
    ],
)
def test_pairs_txt_mistakes(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_pairs(text, Path("pairs.txt"))


@pytest.mark.parametrize("images", ["images", "lfw_funneled", "lfw-deepfunneled", "lfw"])
def test_layouts(tmp_path: Path, images: str) -> None:
    faces = lfw.read(make_lfw(tmp_path / "lfw", images))
    assert [photo.image_id for photo in faces.photos][:3] == [
        "lfw-Ann_Lee_0001",
        "lfw-Ann_Lee_0002",
        "lfw-Bob_Ray_Jr_0001",
    ]
    assert next(iter(faces.photos)).path == str(tmp_path / "lfw" / images / "Ann_Lee/Ann_Lee_0001.jpg")
    assert next(iter(faces.photos)).identity == "ann_lee"
    assert faces.all_names == {"ann_lee", "bob_ray_jr", "cem"}
    assert faces.pairs[1] == PairRecord("lfw", 0, "lfw-Ann_Lee_0002", "lfw-Bob_Ray_Jr_0001", False)
    assert len(faces.pairs) == 4


def test_names_file_adds_people_without_photographs(tmp_path: Path) -> None:
    root = make_lfw(tmp_path / "lfw")
    (root / "lfw-names.txt").write_text("Ann_Lee\t2\nZoe\t1\n")
    assert lfw.read(root).all_names == {"ann_lee", "bob_ray_jr", "cem", "zoe"}


def test_what_systems_put_beside_the_files_is_none_of_them(tmp_path: Path) -> None:
    before = lfw.read(make_lfw(tmp_path / "lfw"))
    for name in ("Cem/._Cem_0001.jpg", "@eaDir/thumb.jpg", "__MACOSX/Cem_0001.jpg", "Cem/Cem_0001.jpg.xmp"):
        (tmp_path / "lfw/images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "lfw/images" / name).write_bytes(b"x")
    assert lfw.read(tmp_path / "lfw") == before


def test_mistakes_of_the_folder(tmp_path: Path) -> None:
    root = make_lfw(tmp_path / "lfw")
    (root / "images/Bob_Ray_Jr/Bob_Ray_Jr_0003.jpg").unlink()
    (root / "images/Cem/Cem_0001.jpg").unlink()
    with pytest.raises(DataError, match=r"(?s)2 photographs of LFW's pairs are not here.*Bob_Ray_Jr_0003"):
        lfw.read(root)
    (root / "pairs.txt").unlink()
    with pytest.raises(DataError, match=r"(?s)A file of LFW is missing.*pairs\.txt"):
        lfw.read(root)
    (root / "images/Cem/Ann_Lee_0001.jpg").write_bytes(jpeg(0))
    with pytest.raises(DataError, match="not named after its folder"):
        lfw.read(root)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(
        DataError, match="folder of photographs is missing"
    ):  # and nothing is fetched over what is there
        lfw.read(tmp_path / "other")


@pytest.fixture
def figshare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server of a tiny LFW on the loopback, in the places where scikit-learn's fetcher looks; yields the served folder."""
    served, built = tmp_path / "served", make_lfw(tmp_path / "built", "lfw_funneled")
    served.mkdir()
    with tarfile.open(served / "lfw-funneled.tgz", "w:gz") as archive:
        archive.add(built / "lfw_funneled", "lfw_funneled")
    (served / "pairs.txt").write_text(PAIRS)
    (served / "pairsDevTrain.txt").write_text("1\nAnn_Lee\t1\t2\n")
    (served / "pairsDevTest.txt").write_text("1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tCem\t1\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Say nothing on the test's terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def remote(name: str) -> RemoteFileMetadata:
        digest = hashlib.sha256((served / name).read_bytes()).hexdigest()
        return RemoteFileMetadata(name, f"http://127.0.0.1:{server.server_port}/{name}", digest)

    monkeypatch.setattr(_lfw, "TARGETS", tuple(remote(f"pairs{part}.txt") for part in ("", "DevTrain", "DevTest")))
    monkeypatch.setattr(_lfw, "FUNNELED_ARCHIVE", remote("lfw-funneled.tgz"))
    yield served
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("empty_folder", [True, False])
def test_fetched_when_there_is_no_local_copy(tmp_path: Path, figshare: Path, empty_folder: bool) -> None:
    folder = tmp_path / "raw/lfw"
    if empty_folder:
        folder.mkdir(parents=True)
    faces = lfw.read(folder)
    assert len(faces.photos) == 6
    assert len(faces.pairs) == 4
    assert {path.name for path in folder.iterdir()} == {
        "lfw_funneled",
        "pairs.txt",
        "pairsDevTrain.txt",
        "pairsDevTest.txt",
    }
    assert [path.name for path in folder.parent.iterdir()] == ["lfw"]
    for path in figshare.iterdir():
        path.unlink()
    assert lfw.read(folder) == faces  # from the disk


@pytest.mark.filterwarnings("ignore:Retry downloading")
@pytest.mark.parametrize("damage", ["missing", "wrong hash", "cut archive"])
def test_failed_fetch_leaves_nothing(
    tmp_path: Path, figshare: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = figshare / "lfw-funneled.tgz"
    if damage == "missing":
        archive.unlink()
        monkeypatch.setattr("time.sleep", lambda _: None)  # between the fetcher's own three tries
    else:
        archive.write_bytes(archive.read_bytes()[:-300])
    if damage == "cut archive":  # with a hash that fits, as if it had been cut before publication
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        monkeypatch.setattr(_lfw, "FUNNELED_ARCHIVE", _lfw.FUNNELED_ARCHIVE._replace(checksum=digest))
    with pytest.raises(DownloadError, match="LFW could not be fetched"):
        fetch_lfw(tmp_path / "raw/lfw")
    assert list((tmp_path / "raw").iterdir()) == []
