"""The report of a rebuild: one self-contained page, a chapter for everything that the rebuild left."""

from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapter import About, chapters_of
from pipeline_lib.delivery.report.hero import read_hero
from pipeline_lib.delivery.report.html import TEMPLATES, render, script_digest

SCRIPT = TEMPLATES / "report.js"


class Report(NamedTuple):
    """The page's HTML, and by name what else lies beside it."""

    page: str
    beside: dict[str, str]


def build_report(data: Path, about: About) -> Report:
    """The page, and the files that chapters give beside it (`beside`, which few have).

    The page's one script is its own, and a policy in its head lets a browser run that alone and load nothing.

    Args:
        data: the folder that the stages wrote to; chapters whose files it lacks are left out.

    Raises:
        DataError: a file is missing that another one promises, or is damaged; or there is nothing at all to show.
    """
    chapters = chapters_of(data)
    read = {name: chapter.read(data) for name, chapter in chapters.items()}
    found = {name: one for name, one in read.items() if one is not None}
    if not found:
        raise DataError("There is nothing to report; run the stages before.", where=data)
    shown = [
        # Escaped by its own template.
        (name, chapters[name].TITLE, Markup(render(f"chapters/{name}.html.j2", chapters[name].show(one, about))))
        for name, one in found.items()
    ]
    beside: dict[str, str] = {}
    for name, one in found.items():
        files = getattr(chapters[name], "beside", None)
        beside |= {} if files is None else files(one, about)
    script = SCRIPT.read_text(encoding="utf-8")
    hero = read_hero(data, about.params.scores)
    values: dict[str, object] = {
        "chapters": shown,
        "hero": hero,
        "script": Markup(script),
        "digest": script_digest(script),
    }
    return Report(render("report.html.j2", values), beside)
