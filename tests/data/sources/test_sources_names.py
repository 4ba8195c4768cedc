"""One person, one identity: whatever the script, with and without accents, in one source and in several."""

import itertools

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.names import join_names, normalise_name, without_accents
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos


def source(*names: str) -> SourceFaces:
    identities = [normalise_name(name) for name in names]
    photos = [PhotoRecord(f"{name}-1", name, f"{name}/1.jpg", None, f"{name}-1") for name in identities]
    return SourceFaces(as_photos(photos), [], frozenset(identities))


def joined(*sources: SourceFaces) -> list[list[str]]:
    return [[photo.identity for photo in faces.photos] for faces in join_names(sources)]


@pytest.mark.parametrize(
    "names",
    [
        ("किरण", "करण"),  # Devanagari: with and without the vowel sign i
        ("रवि", "रवी"),
        ("กิ่ง", "กุ้ง", "กา"),  # Thai vowel signs and tone marks
        ("মিতা", "মীতা", "মতা"),  # Bengali
        ("かき", "がき", "かぎ"),  # kana, with and without dakuten
        ("ハナ", "バナ", "パナ"),
        ("கவி", "கவு"),  # Tamil
        ("Андрей", "Андреи"),
        ("محمد", "محمود"),
    ],
)
def test_different_people_of_any_script_stay_different(names: tuple[str, ...]) -> None:
    for one, other in itertools.combinations(names, 2):
        assert normalise_name(one) != normalise_name(other)
        assert without_accents(normalise_name(one)) != without_accents(normalise_name(other))
        assert joined(source(one), source(other)) == [[normalise_name(one)], [normalise_name(other)]]
    assert joined(source(*names)) == [[normalise_name(name) for name in names]]


def test_the_forms_of_one_name() -> None:
    assert normalise_name("がき") == normalise_name("か\u3099き") == "がき"  # composed and not
    assert normalise_name("ﾊﾞﾅ") == "バナ"
    assert normalise_name("Jo\u0308rg") == normalise_name("JÖRG") == "jörg"
    assert without_accents("jörg") == "jorg"
    assert without_accents("nguyễn_văn_đức") == "nguyen_van_đuc"
    assert without_accents("がき_किरण_андрей") == "がき_किरण_андрей"


def test_two_sources_may_write_accents_or_not(caplog: pytest.LogCaptureFixture) -> None:
    assert joined(source("Zlatan Ibrahimović", "Ann"), source("Zlatan_Ibrahimovic", "Bob")) == [
        ["zlatan_ibrahimovic", "ann"],
        ["zlatan_ibrahimovic", "bob"],
    ]
    assert "1 people are written with accents in one source and without in another" in caplog.text
    assert "zlatan_ibrahimovic/zlatan_ibrahimović" in caplog.text


def test_one_source_with_both_means_two_people(caplog: pytest.LogCaptureFixture) -> None:
    assert joined(source("Müller", "Muller"), source("Muller"), source("MÜLLER", "García")) == [
        ["müller", "muller"],
        ["muller"],
        ["müller", "garcia"],
    ]
    assert "different people, as one source has both: muller/müller" in caplog.text


def test_names_without_a_photograph_go_the_same_way() -> None:
    first = SourceFaces(as_photos([]), [], frozenset({"garcía"}))
    second = source("Garcia")
    assert [faces.all_names for faces in join_names([first, second])] == [{"garcia"}, {"garcia"}]


def test_a_name_that_is_nothing() -> None:
    with pytest.raises(DataError, match="has no name"):
        join_names([source("---")])
