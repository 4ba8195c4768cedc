"""The report of a rebuild: one self-contained page, a chapter for everything that the rebuild left."""

from pathlib import Path

from markupsafe import Markup

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapter import About, chapters_of
from pipeline_lib.delivery.report.html import render


def build_page(data: Path, about: About) -> str:
    """The page's HTML.

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
    return render("report.html.j2", {"chapters": shown})
