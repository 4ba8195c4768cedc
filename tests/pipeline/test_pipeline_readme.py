"""What the pages for people name exists; their commands are run by test_pipeline_demo.py, or the page says why not."""

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from docs_blocks import Block, blocks, is_command, pages

MAKE = re.compile(r"make(?: (?P<target>[a-z]+))?(?P<arguments>(?: [A-Z]+=\S+)*)")


def all_blocks(repository: Path) -> list[Block]:
    return [block for page in pages(repository) for block in blocks(page)]


def test_make_commands_exist(repository: Path) -> None:
    """Every `make` line is understood by make and by conf/ (make itself is run by make repro, make test and CI)."""
    made = {line for block in all_blocks(repository) for line in block.lines if line.split()[0] == "make"}
    assert {"make repro", "make test", "make ui"} <= made
    for line in sorted(made):
        match = MAKE.fullmatch(line)
        assert match, line
        for argument in match["arguments"].split():
            name, value = argument.split("=")
            assert (repository / "conf" / name.lower() / f"{value}.yaml").is_file(), line
        result = subprocess.run([*line.split(), "--dry-run"], cwd=repository, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr


def test_every_block_of_commands_is_run_or_says_why_not(repository: Path) -> None:
    for block in all_blocks(repository):
        where = f"{block.page}: {block.lines[:1]}"
        if block.kind != "bash":
            assert not [line for line in block.lines if is_command(line)] or block.kind == "python", (
                f"{where} is not marked bash"
            )
            continue
        assert not (block.run_by and block.not_run), where
        if block.run_by:
            test = (repository / block.run_by).read_text()
            takes_them_from_the_page = "blocks(" in test and f'"{block.page}"' in test
            run = takes_them_from_the_page or all(line in test for line in block.lines)
            assert run, f"{where} is not what {block.run_by} runs"
        elif block.not_run:
            assert len(block.not_run.split()) >= 3, f"{where}: this is no reason"


def test_comments_and_continued_lines_are_understood(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs two machines -->\n```bash\na --b '#c' \\\n  d  # e\n# only words\n```\n\n```\ntext\n```\n"
    )
    first, second = blocks(page)
    assert (first.kind, first.lines, first.not_run, first.run_by) == (
        "bash",
        ("a --b '#c' d",),
        "needs two machines",
        "",
    )
    assert (second.kind, second.lines, second.not_run) == ("", ("text",), "")
    page.write_text("<!-- norun: so -->\n```bash\na\n```\n")
    with pytest.raises(ValueError, match="norun"):
        blocks(page)


def test_linked_files_exist(repository: Path) -> None:
    for page in pages(repository):
        for target in re.findall(r"(?:\]\(|src=\")(?!https?:)([^)#\"]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_readme_is_short_and_the_index_lists_every_page(readme: str, repository: Path) -> None:
    assert len(readme.splitlines()) <= 200
    index = (repository / "docs" / "README.md").read_text()
    assert {f"({page.name})" for page in (repository / "docs").glob("*.md")} - {"(README.md)"} == set(
        re.findall(r"\(\S+\.md\)", index)
    )


def test_plots_are_shown_without_a_network(repository: Path, tmp_path: Path) -> None:
    """docs/experiments.md: DVC's page holds Vega itself and names no other server; here of stand-ins for npm's packages."""
    (steps,) = (block for block in blocks(repository / "docs" / "experiments.md") if "tar -xzOf" in block.lines[0])
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "history.csv").write_text("step,loss\n1,2\n2,1\n")
    (tmp_path / "dvc.yaml").write_text("plots: [history.csv: {x: step, y: loss}]\n")
    temporary = tmp_path / ".dvc" / "tmp"
    temporary.mkdir(exist_ok=True)
    for name, version in (("vega", "5.33.1"), ("vega-lite", "5.23.0"), ("vega-embed", "6.29.0")):
        with tarfile.open(temporary / f"{name}-{version}.tgz", "w:gz") as package:
            for file in (f"{name}.min.js", f"{name}-core.min.js"):
                entry, text = tarfile.TarInfo(f"package/build/{file}"), f"/* {file} */".encode()
                entry.size = len(text)
                package.addfile(entry, io.BytesIO(text))
    bin_dir = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}
    for line in (*steps.lines, "dvc plots show --out plots"):
        subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, check=True, capture_output=True)
    page = (tmp_path / "plots" / "index.html").read_text()
    assert re.findall(r"/\* (.*?) \*/", page) == ["vega.min.js", "vega-lite.min.js", "vega-embed.min.js"]
    assert "history.csv" in page
    assert "<script src" not in page
