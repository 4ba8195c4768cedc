"""What the page and the API answer, and that it is what the command line answers."""

import base64
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from served import PAGE, make, photograph

from pipeline_lib.delivery.identify import embedded
from pipeline_lib.delivery.identify.answer import Asked, identify_photograph
from pipeline_lib.delivery.identify.model import Opened

A, B = photograph(1), photograph(2)
PAIR = {"image_a": ("ann.png", A), "image_b": ("bob.png", B)}


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_form_and_json_get_the_verifier_s_answer(client: TestClient, tiny: Opened) -> None:
    (expected,) = tiny.verifier.compare([(A, B)], explain=True)
    posted = client.post("/verify", files=PAIR)
    assert posted.status_code == 200
    found = posted.json()
    for name in ("similarity", "threshold", "match", "probability", "prior", "basis", "explanation", "method"):
        assert found[name] == getattr(expected, name), name
    assert (found["error"], found["model"], found["note"]) == (None, "tiny, version 1", "A note.")
    assert len(found["contributions"]) == len(expected.contributions)
    assert not {"maps", "png", "face_a", "face_b"} & set(found)
    told = client.post("/verify", json={"image_a": as_text(A), "image_b": f"data:image/png;base64,{as_text(B)}"})
    assert told.json() == found


def test_a_browser_gets_the_page_of_the_command_line(client: TestClient) -> None:
    page = client.post("/verify", files=PAIR, headers=PAGE)
    assert page.headers["content-type"].startswith("text/html")
    assert "No match" in page.text or "Match:" in page.text
    assert all(f"<figcaption>{name}</figcaption>" in page.text for name in ("A: ann.png", "B: bob.png"))
    assert page.text.count("data:image/png;base64,") >= 4  # faces and maps
    assert '<a href="/">' in page.text


def test_options_are_those_of_the_command_line(client: TestClient, tiny: Opened) -> None:
    (expected,) = tiny.verifier.compare([(A, B)], explain=True, method="xssab", fmr=0.1)
    found = client.post("/verify", files=PAIR, data={"fmr": "0.1", "method": "xssab"}).json()
    assert found["threshold"] == expected.threshold != tiny.verifier.calibration.threshold
    assert (found["method"], found["reliability"]) == ("xssab", None)
    pair = {"image_a": as_text(A), "image_b": as_text(B)}
    assert client.post("/verify", json={**pair, "threshold": 0.9}).json()["threshold"] == 0.9
    assert client.post("/verify", json={**pair, "check": True}).json()["reliability"]


def test_what_a_form_leaves_empty_is_not_asked(client: TestClient) -> None:
    found = client.post("/verify", files=PAIR, data={"fmr": "", "method": ""})
    assert found.json() == client.post("/verify", files=PAIR).json()


def test_of_several_faces_the_page_asks_which_and_takes_the_answer(client: TestClient, tiny: Opened) -> None:
    both = photograph(1, 2)
    _, faces = tiny.verifier.faces(both)
    assert len(faces) == 2
    page = client.post(
        "/verify", files={"image_a": ("<b>.png", both), "image_b": ("bob.png", B)}, headers=PAGE, data={"fmr": "0.1"}
    )
    assert page.status_code == 200
    assert "Which face is meant?" in page.text
    assert "&lt;b&gt;.png" in page.text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert fields["image_a"] == as_text(both)
    assert fields["fmr"] == "0.1"
    assert len(re.findall(r'type="radio"[^>]+name="face_a"', page.text)) == 2
    assert "face_b" not in re.findall(r'type="radio"[^>]+name="(\w+)"', page.text)
    parts = {name: (None, value) for name, value in {**fields, "face_a": "2"}.items()}
    verdict = client.post("/verify", files=parts, headers=PAGE)
    assert "B: bob.png" in verdict.text


def test_two_people_of_one_photograph_are_two_faces(client: TestClient) -> None:
    both = {"image_a": as_text(photograph(1, 2)), "image_b": as_text(photograph(1, 2))}
    same, other = (client.post("/verify", json={**both, "face_a": 1, "face_b": face}).json() for face in (1, 2))
    assert same["similarity"] == pytest.approx(1.0, abs=1e-5)
    assert other["similarity"] < 1 - 1e-3


def test_the_api_says_which_faces_there_are(client: TestClient) -> None:
    answer = client.post("/verify", json={"image_a": as_text(photograph(1, 2)), "image_b": as_text(B)})
    assert answer.status_code == 422
    found = answer.json()
    assert found["reason"] == "several_faces"
    (first, second) = found["faces"]["image_a"]
    assert first[0] < second[0]


def test_who_of_a_gallery_it_is(tmp_path: Path, tiny: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "map_batches", lambda function, batches, *rest, **more: map(function, batches))
    (tmp_path / "people").mkdir()
    for name, person in (("Ann", 1), ("Bob", 2)):
        (tmp_path / "people" / f"{name}.png").write_bytes(photograph(person))
    (tmp_path / "asked.png").write_bytes(A)
    gallery = tmp_path / "people"
    expected = identify_photograph(tiny, tmp_path / "asked.png", gallery, None, Asked(top=1), 0).as_json()
    with TestClient(make(monkeypatch, tiny, gallery).app, base_url="http://localhost") as client:
        found = client.post("/identify", files={"image": ("asked.png", A)}, data={"top": "1"}).json()
        page = client.post("/identify", files={"image": ("asked.png", A)}, headers=PAGE)
        form = client.get("/")
        refused = client.post("/identify", files={"image": ("asked.png", A)}, data={"fpir": "2"})
        unclear = client.post("/identify", files={"image": ("two.png", photograph(1, 2))}, headers=PAGE)
    assert found == {**expected, "photograph": "asked.png"}
    assert found["name"] == "Ann"
    assert "Most like Ann" in page.text
    assert 'action="/identify"' in form.text
    assert refused.status_code == 422
    assert 'name="face" value="2"' in unclear.text


def test_the_form_offers_the_rates_that_the_model_can_tell(client: TestClient) -> None:
    form = client.get("/")
    assert re.findall(r'<option value="([^"]*)"', form.text) == ["", "0.1"]  # of ten pairs of two people
    assert "tiny, version 1" in form.text
    assert 'action="/identify"' not in form.text


def test_the_api_is_described_without_anything_from_outside(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schema = document["paths"]["/verify"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"image_a", "image_b", "fmr", "face_a"} < set(schema["properties"])
    assert schema["required"] == ["image_a", "image_b"]
    page = client.get("/docs").text
    assert "POST /verify" in page
    assert "face_b" in page
    assert not re.search(r'(src|href)="(?!data:|/)', page)
    assert client.get("/healthz").json() == {"status": "ok", "model": "tiny, version 1", "requests": 0, "trouble": ""}
