"""Filled sheets: what is read, and that whatever is wrong with a line is named."""

from pathlib import Path

import pytest
from study_key import KEY, sheet

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import write_json
from pipeline_lib.why.study.answers import Answer, read_answers
from pipeline_lib.why.study.key import read_key


def written(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{number}.csv" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def refused(folder: Path, *texts: str) -> str:
    with pytest.raises(DataError) as raised:
        read_answers(written(folder, *texts), KEY)
    return str(raised.value)


def test_reads_several_sheets_in_any_case_and_order(tmp_path: Path) -> None:
    other = "pair,answer,confidence,participant,form\n" + "".join(
        f" {pair} ,NO,{pair},p2,sabc-2\n" for pair in (4, 3, 2, 1)
    )
    found = read_answers(written(tmp_path, "\ufeff" + sheet("p1", "sabc-1", "yYn-".lower()) + "\n", other), KEY)
    assert found[:4] == [
        Answer("p1", "sabc-1", 1, True, None),
        Answer("p1", "sabc-1", 2, True, None),
        Answer("p1", "sabc-1", 3, False, None),
        Answer("p1", "sabc-1", 4, None, None),
    ]
    assert found[4] == Answer("p2", "sabc-2", 4, False, 4)
    assert len(found) == 8


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    text = (
        "participant,form,pair,answer,confidence\n,sabc-1,1,yes,\np,old-1,5,maybe,9\np,sabc-1,3,no\np,sabc-1,1,no,1.5\n"
    )
    message = refused(tmp_path, text)
    for line in (
        "0.csv, line 2: participant is empty; allowed: a number or code",
        "0.csv, line 3: form 'old-1' is none of this key; allowed: sabc-1, sabc-2",
        "0.csv, line 3: pair '5' is none of this key; allowed: 1 to 4",
        "0.csv, line 3: answer is 'maybe'; allowed: yes, no, empty if not answered",
        "0.csv, line 3: confidence is '9'; allowed: 1, 2, 3, 4, 5, empty if not given",
        "0.csv, line 4: it has more or fewer cells than the head",
        "0.csv, line 5: confidence is '1.5'",
    ):
        assert line in message


def test_a_participant_answers_a_pair_once_on_one_form(tmp_path: Path) -> None:
    message = refused(tmp_path, sheet("p", "sabc-1", "yyyy"), sheet("p", "sabc-2", "yyyy"))
    assert "1.csv, line 2: participant p fills sabc-2, but sabc-1 in 0.csv, line 2" in message
    assert "1.csv, line 5: participant p has pair 4 already in 0.csv, line 5" in message


def test_a_missing_line_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, sheet("p", "sabc-1", "yyyy"), sheet("q", "sabc-2", "yy"))
    assert "participant q has no line for pairs 3, 4" in message
    assert "participant p" not in message


def test_many_problems_are_counted(tmp_path: Path) -> None:
    message = refused(tmp_path, "participant,form,pair,answer\n" + 30 * "p,sabc-1,1,so\n")
    assert message.count("answer is 'so'") == 20
    assert "... and 10 more" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "other columns"),
        ("participant;form;pair;answer\np;sabc-1;1;yes\n", "separated by commas"),
        ("participant,form,pair,answer,name\n", "other columns"),
        ("participant,form,pair,answer\n", "There are no answers"),
    ],
)
def test_other_files_are_refused(text: str, says: str, tmp_path: Path) -> None:
    assert says in refused(tmp_path, text)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"participant,form,pair,answer\n\xff\xfe,,\n")
    for path, says in ((tmp_path / "x.csv", "UTF-8"), (tmp_path / "none.csv", "cannot be read"), (tmp_path, "be read")):
        with pytest.raises(DataError, match=says):
            read_answers([path], KEY)


def test_a_key_is_read_back_and_other_json_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "key.json", KEY.model_dump())
    assert read_key(tmp_path / "key.json") == KEY
    write_json(tmp_path / "key.json", KEY.model_dump() | {"questions": [{"pair": 1}]})
    with pytest.raises(DataError, match=r"(?s)no answer key.*questions.0.left"):
        read_key(tmp_path / "key.json")
