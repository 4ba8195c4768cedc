"""CFP: both names of its lists, the columns of FP, and its mistakes."""

from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources import cfp
from pipeline_lib.data.sources.shared.records import PairRecord

FRONTAL = [f"{person:03d}/frontal/{image:02d}.jpg" for person in (1, 2) for image in (1, 2)]
PROFILE = [f"{person:03d}/profile/01.jpg" for person in (1, 2)]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_cfp(root: Path, lists: str = "image_list", prefix: str = "Data/Images") -> Path:
    write(root / "Data/list_name.txt", "Ann Lee\nBob\n")
    for name in FRONTAL + PROFILE:
        write(root / "Data/Images" / name, "x")
    for view, names in (("F", FRONTAL), ("P", PROFILE)):
        write(
            root / f"Protocol/{lists}_{view}.txt", "".join(f"{i} {prefix}/{name}\n" for i, name in enumerate(names, 1))
        )
    pairs = {"FF/01/same": "1,2\n", "FF/01/diff": "2,3\n", "FP/01/same": "3,2\n", "FP/01/diff": "1,2\n"}
    pairs |= {"FF/02/same": "3,4\n", "FF/02/diff": "4,1\n", "FP/02/same": "2,1\n", "FP/02/diff": "4,1\n"}
    for name, text in pairs.items():
        write(root / f"Protocol/Split/{name}.txt", text)
    return root


@pytest.mark.parametrize(
    ("lists", "prefix"), [("image_list", "Data/Images"), ("Pair_list", "../Data/Images"), ("Pair_list", "Data/Images")]
)
def test_official_layout(tmp_path: Path, lists: str, prefix: str) -> None:
    faces = cfp.read(make_cfp(tmp_path, lists, prefix))
    assert len(faces.photos) == 6
    assert {photo.identity for photo in faces.photos} == faces.all_names == {"ann_lee", "bob"}
    first = next(iter(faces.photos))
    assert (first.image_id, first.path) == ("cfp-001-frontal-01", str(tmp_path / "Data/Images/001/frontal/01.jpg"))
    assert (first.split, first.landmarks, first.media) == (None, None, first.image_id)
    assert {photo.view for photo in faces.photos if "-profile-" in photo.image_id} == {"profile"}
    assert {photo.view for photo in faces.photos if "-frontal-" in photo.image_id} == {"frontal"}
    assert faces.pairs == [
        PairRecord("cfp_ff", 0, "cfp-001-frontal-01", "cfp-001-frontal-02", True),
        PairRecord("cfp_ff", 0, "cfp-001-frontal-02", "cfp-002-frontal-01", False),
        PairRecord("cfp_ff", 1, "cfp-002-frontal-01", "cfp-002-frontal-02", True),
        PairRecord("cfp_ff", 1, "cfp-002-frontal-02", "cfp-001-frontal-01", False),
        PairRecord("cfp_fp", 0, "cfp-002-frontal-01", "cfp-002-profile-01", True),
        PairRecord("cfp_fp", 0, "cfp-001-frontal-01", "cfp-002-profile-01", False),
        PairRecord("cfp_fp", 1, "cfp-001-frontal-02", "cfp-001-profile-01", True),
        PairRecord("cfp_fp", 1, "cfp-002-frontal-02", "cfp-001-profile-01", False),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Data/list_name.txt", "Ann Lee\n", r"(?s)no name in Data/list_name\.txt.*002"),
        ("Data/list_name.txt", "Ann Lee\nann lee\n", r"(?s)a name twice.*ann_lee"),
        ("Protocol/Split/FP/01/same.txt", "1,3\n", "no two indices"),
        ("Protocol/Split/FP/01/same.txt", "1;2\n", "no two indices"),
        ("Protocol/Split/FP/01/same.txt", "1,2\n", r"(?s)contradicts the folders.*same\.txt"),
        ("Protocol/Split/FF/02/diff.txt", "1,2\n", r"(?s)contradicts the folders.*diff\.txt"),
        ("Protocol/image_list_P.txt", "Data/Images/001/profile/01.jpg\n", "malformed"),
        (
            "Protocol/image_list_P.txt",
            "1 Data/Images/001/profile/01.jpg\n2 Data/Images/002/profile/09.jpg\n",
            "1 photographs .* not here",
        ),
    ],
)
def test_mistakes_in_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    write(make_cfp(tmp_path) / name, text)
    with pytest.raises(DataError, match=message):
        cfp.read(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "Data/list_name.txt",
        "Protocol/image_list_F.txt",
        "Protocol/Split/FF/01/same.txt",
        "Data/Images/001/profile/01.jpg",
    ],
)
def test_missing_files(tmp_path: Path, name: str) -> None:
    (make_cfp(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=r"missing|not here"):
        cfp.read(tmp_path)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)A file of CFP is missing.*list_name"):
        cfp.read(tmp_path / "nowhere")


def test_what_systems_put_beside_the_files_is_none_of_them(tmp_path: Path) -> None:
    before = cfp.read(make_cfp(tmp_path))
    for name in ("Images/001/frontal/._01.jpg", "Images/@eaDir/frontal/01.jpg", "Images/001/.x/01.jpg"):
        write(tmp_path / "Data" / name, "x")
    write(tmp_path / "Protocol/Split/FF/@eaDir/same.txt", "x")
    assert cfp.read(tmp_path) == before
