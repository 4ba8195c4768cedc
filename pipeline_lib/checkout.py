"""The folder in which everything runs, checked before the first stage."""

from pathlib import Path

from pipeline_lib.core.errors import PipelineError


def check_checkout(folder: Path = Path()) -> None:
    """Return if DVC works in this folder: it has git's history, or was told to do without.

    Raises:
        PipelineError: there is no git, as in an archive that was downloaded; says what to do.
    """
    folder = folder.resolve()
    if any((place / ".git").exists() for place in (folder, *folder.parents)) or not (folder / ".dvc").is_dir():
        return
    configs = [folder / ".dvc" / name for name in ("config", "config.local")]
    if not any("no_scm" in path.read_text() for path in configs if path.is_file()):
        raise PipelineError(
            "This folder is no git repository, as a downloaded archive is none, and DVC needs one. "
            'Make it one: git init && git add --all && git commit --message "as downloaded"',
            where=folder,
        )
