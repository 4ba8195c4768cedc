"""The commands of README.md, CONTRIBUTING.md and docs/*.md, and what is said of those that no test of the pages runs.

A block of commands is marked ```bash. It is run on the rebuilt demo (test_pipeline_demo.py), its `make` lines by `make --dry-run`
(test_pipeline_readme.py); a comment on the line before it says of any other block who runs it, or why nobody does:

    <!-- run by: tests/pipeline/test_pipeline_experiments.py -->
    <!-- not run: takes hours on a GPU -->
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", flags=re.DOTALL | re.MULTILINE
)
PROGRAMS = (
    "dvc",
    "face-verifier",
    "git",
    "make",
    "mlflow",
    "npm",
    "pip",
    "prefect",
    "python",
    "torchrun",
    "pytest",
    "curl",
)


@dataclass(frozen=True)
class Block:
    """`kind`: the word after the fence. `run_by`: a test file, `not_run`: a reason; both empty where its page's does."""

    page: str
    kind: str
    lines: tuple[str, ...]
    run_by: str
    not_run: str


def pages(repository: Path) -> list[Path]:
    """All pages for people that hold commands."""
    return [repository / "README.md", repository / "CONTRIBUTING.md", *sorted((repository / "docs").glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Its fenced blocks in their order; a line that ends with a backslash goes on, comments are dropped.

    Raises:
        ValueError: a comment before a block is none of the two.
    """
    found = []
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        marked, _, value = (match["mark"] or "").partition(": ")
        if marked not in ("", "run by", "not run"):
            raise ValueError(f"{page.name}: {match['mark']}")
        joined = re.sub(r"\s*\\\n\s*", " ", match["text"])
        lines = (re.split(r"(?:^|\s+)#\s", line, maxsplit=1)[0].strip() for line in joined.splitlines())
        where = {"run by": "", "not run": ""} | {marked: value}
        found.append(Block(page.name, match["kind"], tuple(filter(None, lines)), where["run by"], where["not run"]))
    return found


def is_command(line: str) -> bool:
    """Whether a person would type it."""
    return line.removeprefix("$ ").split(" ", 1)[0] in PROGRAMS


def commands(page: Path) -> list[str]:
    """Every line of its blocks of commands."""
    return [line for block in blocks(page) if block.kind == "bash" for line in block.lines]


def to_run(page: Path) -> list[str]:
    """The lines of a page that its test runs on the rebuilt demo: of unmarked blocks, without `make`, which is run dry."""
    unmarked = [block for block in blocks(page) if block.kind == "bash" and not block.run_by and not block.not_run]
    return [line for block in unmarked for line in block.lines if not line.startswith(("make", "source "))]
