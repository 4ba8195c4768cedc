"""A chapter is one module and its template: put into the folder, it is in the page and in the navigation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

MODULE = '''
"""A toy."""

from pathlib import Path

ORDER = 35
TITLE = "Toy & chapter"
NEEDS = ("toy/words.txt",)


def read(data: Path) -> str:
    return (data / "toy" / "words.txt").read_text()


def show(found: str, about: object) -> dict[str, object]:
    return {"words": found}
'''
RUN = """
import sys
from pathlib import Path
from fake_rebuild import make_about, write_rebuild
from pipeline_lib.delivery.report import page
data = Path(sys.argv[1])
write_rebuild(data)
without = page.build_report(data, make_about()).page
(data / "toy").mkdir()
(data / "toy" / "words.txt").touch()
assert page.build_report(data, make_about()).page == without  # an empty file is nothing to show
(data / "toy" / "words.txt").write_text("<b>of the toy</b>")
print(page.__file__)
print(page.build_report(data, make_about()).page)
"""


def test_a_toy_chapter_in_a_copied_checkout(repository: Path, tmp_path: Path) -> None:
    checkout, here = tmp_path / "checkout", Path(__file__).parent
    shutil.copytree(
        repository / "pipeline_lib", checkout / "pipeline_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    report = checkout / "pipeline_lib" / "delivery" / "report"
    (report / "chapters" / "toy.py").write_text(MODULE)
    (report / "templates" / "chapters" / "toy.html.j2").write_text("<p>Words {{ words }}</p>")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (checkout, here)))}
    command = [sys.executable, "-c", RUN, str(tmp_path / "data")]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(checkout))
    titles = (
        '<a href="#networks">Networks</a>',
        '<a href="#toy">Toy &amp; chapter</a>',
        '<a href="#regions">Regions</a>',
    )
    assert "".join(titles) in run.stdout
    assert '<h2 id="toy">Toy &amp; chapter</h2>' in run.stdout
    assert "<p>Words &lt;b&gt;of the toy&lt;/b&gt;</p>" in run.stdout
