"""The report of a rebuild: one self-contained page, a chapter for everything that the rebuild left."""

from pathlib import Path

from markupsafe import Markup

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapter import About, chapters_of
from pipeline_lib.delivery.report.hero import read_hero
from pipeline_lib.delivery.report.html import TEMPLATES, render, script_digest

SCRIPT = TEMPLATES / "report.js"


def build_page(data: Path, about: About) -> str:
    """The page's HTML; its one script is its own, and a policy in its head lets a browser run that alone and load nothing.

    Args:
        data: the folder that the stages wrote to; chapters whose files it lacks are left out.

    Raises:
        DataError: a file is missing that another one promises, or is damaged; or there is nothing at all to show.
    """
    chapters = chapters_of(data)
    found = {name: chapter.read(data) for name, chapter in chapters.items()}
    shown = [
        # Escaped by its own template.
        (name, chapter.TITLE, Markup(render(f"chapters/{name}.html.j2", chapter.show(found[name], about))))
        for name, chapter in chapters.items()
        if found[name] is not None
    ]
    if not shown:
        raise DataError("There is nothing to report; run the stages before.", where=data)
    script = SCRIPT.read_text(encoding="utf-8")
    hero = read_hero(data, about.params.scores)
    values = {"chapters": shown, "hero": hero, "script": Markup(script), "digest": script_digest(script)}
    return render("report.html.j2", values)
