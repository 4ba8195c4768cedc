"""Several embedding sets side by side in one folder."""

from pathlib import Path

from pipeline_lib.networks.embeddings.store import VECTORS_FILE


def embedding_folders(root: Path) -> dict[str, Path]:
    """The embedding sets of a folder by name: `root` itself if it is one, else those directly in it; other files are no sets."""
    if (root / VECTORS_FILE).is_file():
        return {root.name: root}
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{VECTORS_FILE}"))}
