"""The page in a browser: with a keyboard alone, without scripts, in a narrow window, and by dropping."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from served import listening, make, photograph

from pipeline_lib.delivery.identify.model import Opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
NARROW_PX = 400
FOCUSED = "document.activeElement.id || document.activeElement.value || document.activeElement.textContent.trim()"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def url(tiny: Opened) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as monkeypatch, listening(make(monkeypatch, tiny)) as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("photographs")
    for name, people in (("ann.png", (1,)), ("both.png", (1, 2))):
        (folder / name).write_bytes(photograph(*people))
    return folder / "ann.png", folder / "both.png"


def fits(tab: Browser) -> bool:
    """Nothing has to be scrolled sideways for."""
    return bool(tab.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_from_two_files_to_a_verdict_by_keyboard_in_a_narrow_window(
    tab: Browser, url: str, files: tuple[Path, Path]
) -> None:
    tab.open(url, NARROW_PX)
    assert fits(tab)
    seen = []
    for _ in range(5):
        tab.press("Tab")
        seen.append(tab.evaluate(FOCUSED))
    assert seen == ["image_a", "image_b", "fmr", "check", "Compare"]
    tab.choose("#image_a", [files[0]])
    tab.choose("#image_b", [files[1]])
    tab.wait("[...document.querySelectorAll('.preview')].every((one) => one.naturalWidth > 0)")
    assert fits(tab)
    tab.press("Enter")
    tab.wait("location.pathname === '/verify' && document.readyState === 'complete'")
    assert tab.evaluate("document.querySelector('h1').textContent") == "Which face is meant?"
    assert fits(tab)
    assert tab.evaluate("document.querySelectorAll('.boxes rect').length") == 3
    tab.press("Tab")  # the link back
    tab.press("Tab")
    chosen = tab.evaluate("document.activeElement.value")
    tab.press("ArrowRight")
    other = tab.evaluate("document.querySelector('[name=face_b]:checked').value")
    assert {chosen, other} == {"1", "2"}
    assert tab.evaluate("[...document.querySelectorAll('.boxes .on')].at(-1).dataset.face") == f"face_b-{other}"
    tab.press("Tab")
    assert tab.evaluate(FOCUSED) == "Compare these"
    tab.press("Enter")
    tab.wait("document.title.includes('ann.png and both.png') && document.readyState === 'complete'")
    assert fits(tab)
    assert tab.evaluate("document.getElementById('sum').textContent") == "No patch is chosen."  # its script may run


def test_without_scripts(tab: Browser, url: str, files: tuple[Path, Path]) -> None:
    tab.open(url, with_scripts=False)
    tab.choose("#image_a", [files[0]])
    tab.choose("#image_b", [files[0]])
    for _ in range(5):
        tab.press("Tab")
    tab.press("Enter")
    tab.wait("document.title === 'Match: ann.png and ann.png'")
    tab.open(url, with_scripts=True)


DROP = """
const drop = new DataTransfer();
drop.items.add(new File([new Uint8Array(17 << 20)], "long.png", { type: "image/png" }));
document.querySelector(".drop").dispatchEvent(new DragEvent("drop", { dataTransfer: drop, bubbles: true, cancelable: true }));
"""


def test_a_photograph_that_is_dropped_is_in_the_form(tab: Browser, url: str) -> None:
    tab.open(url)
    tab.evaluate(f"(() => {{ {DROP} }})()")
    assert tab.evaluate("document.getElementById('image_a').files[0].name") == "long.png"
    assert tab.evaluate("document.querySelector('.told').textContent") == "17.8 MB; at most 16.8 MB"
    assert tab.evaluate("document.forms[0].checkValidity()") is False


def test_what_went_wrong_is_a_page(tab: Browser, url: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    tab.open(url, NARROW_PX)
    tab.choose("#image_a", [files[0]])
    tab.choose("#image_b", [tmp_path / "text.png"])
    tab.evaluate("document.querySelector('form button').click()")
    tab.wait("document.title === 'No answer'")
    assert "Photograph B: not an image" in tab.evaluate("document.querySelector('[role=alert]').textContent")
    assert fits(tab)
    tab.open(f"{url}/docs", NARROW_PX)
    assert fits(tab)
    assert "POST /verify" in tab.evaluate("document.body.textContent")
