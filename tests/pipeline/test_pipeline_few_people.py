"""Three people, as a newcomer has them: `make repro DATA=image_folder` leaves training out, says so, and ends in a verifier."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from checkout import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.faces, pytest.mark.timeout(900)]
NUM_PEOPLE = 3


@pytest.fixture(scope="module")
def photos(faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people of LFW with three or four photographs each."""
    folder = tmp_path_factory.mktemp("few") / "my photos"
    people = [path for path in sorted((faces_dir / "lfw/images").iterdir()) if len(list(path.glob("*.jpg"))) in (3, 4)]
    for person in people[:NUM_PEOPLE]:
        shutil.copytree(person, folder / person.name)
    return folder


@pytest.fixture(scope="module")
def built(repository: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `make repro DATA=image_folder` has run; its output is in repro.log."""
    checkout = Checkout(repository, tmp_path_factory.mktemp("three") / "checkout", FACES_DIR=str(photos))
    checkout.use_one_process()
    (checkout.folder / ".venv").mkdir()
    (checkout.folder / ".venv" / ".installed").touch()  # the environment that runs this test
    done = checkout.run("make", "repro", "DATA=image_folder")
    (checkout.folder / "repro.log").write_text(done.stdout + done.stderr)
    return checkout


def test_it_says_what_is_left_out_and_why(built: Checkout) -> None:
    log = (built.folder / "repro.log").read_text()
    for words in (
        "3 people (",
        "too few to train on. With scale=small",
        "where: ingest.test_share, ingest.val_share",
        "Left out are training",
        "Left out training, region networks, re-ranking, explanations",
        "The validation pairs here are too few to calibrate on",
    ):
        assert words in log
    page = (built.folder / "data/report/index.html").read_text()
    assert "Training, region networks, re-ranking, explanations. params.yaml trains nothing" in page
    assert "The validation pairs here are too few to calibrate on" in page
    assert sorted(path.name for path in (built.folder / "data/networks").glob("[!.]*")) == ["dlib_resnet"]


def test_the_verifier_answers_and_says_whose_calibration_it_has(built: Checkout, photos: Path) -> None:
    first, second = ([str(path) for path in sorted(person.iterdir())] for person in sorted(photos.iterdir())[:2])
    for a, b, match in ((first[0], first[1], True), (first[0], second[0], False)):
        answer = json.loads(built.run("face-verifier", "verify", a, b, "--json").stdout)
        assert answer["match"] is match
        assert answer["model"] == "models:/face-verifier@champion"
        assert "so this model has the package's calibration" in answer["note"]


def test_plain_dvc_has_the_same_composition(built: Checkout) -> None:
    before = yaml.safe_load((built.folder / "params.yaml").read_text())
    built.run("make", "params", "DATA=image_folder", "SCALE=untrained")
    assert yaml.safe_load((built.folder / "params.yaml").read_text()) == before
    assert "Data and pipelines are up to date" in built.run("dvc", "status").stdout


def test_a_scale_that_is_named_stays_an_error(built: Checkout) -> None:
    done = built.run("make", "repro", "DATA=image_folder", "SCALE=small", check=False)
    assert done.returncode != 0
    assert "ingest.test_share, ingest.val_share" in done.stderr
    assert "SCALE=untrained" in done.stderr
