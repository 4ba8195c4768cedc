"""The verifier that identifies: the one that `verify` asks, read by this version's code."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.registry.ask import ALLOWED, CHAMPION
from pipeline_lib.delivery.registry.package import VERIFIER
from pipeline_lib.delivery.verifier import shipped
from pipeline_lib.delivery.verifier.about import ABOUT
from pipeline_lib.delivery.verifier.domain import DOMAIN
from pipeline_lib.delivery.verifier.files import CALIBRATION, IMPOSTORS, detector_file
from pipeline_lib.delivery.verifier.shipped_calibration import FOLDER, PROVENANCE
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.networks.backbones.dlib_resnet import SHA256
from pipeline_lib.tracking.reach import find_store
from pipeline_lib.tracking.store import (
    RegistryError,
    existing_store,
    import_mlflow,
    is_store,
    shown_uri,
    tracking_uri,
)

SHIPPED_NOTE = (
    "No model is registered here, so the package's own verifier answers: dlib's recogniser, whose threshold rests on press "
    "photographs (LFW). On other photographs it may be off: `make repro DATA=image_folder` builds a verifier on your own "
    "(docs/your-data.md)."
)
NO_FEATURES = (CALIBRATION, IMPOSTORS, PROVENANCE, ABOUT, DOMAIN)  # what a face's features do not depend on


@dataclass(frozen=True)
class Opened:
    """A verifier, and what is known of it.

    Attributes:
        name: the model's.
        note: what else who asks must know; may be empty.
        digest: of all that decides a face's features; another one makes a cache of features useless.
        detector_weights: a file that exists while the verifier is open, or None.
    """

    verifier: Verifier
    name: str
    note: str
    digest: str
    detector_weights: Path | None


@contextmanager
def open_asked(model: str | None, tracking: str | None) -> Iterator[Opened]:
    """The model that a command line names, else the store's champion; the package's own where no store is named and none is here.

    Raises:
        As open_registered, open_shipped.
    """
    if model is None and tracking is None and not is_store(tracking_uri()):
        yield open_shipped()
        return
    with open_registered(model or CHAMPION, existing_store(tracking)) as opened:
        yield opened


def open_shipped() -> Opened:
    """The package's own; raises as shipped.load_shipped."""
    return Opened(shipped.load_shipped(), shipped.NAME, SHIPPED_NOTE, digest_of(FOLDER, SHA256), None)


@contextmanager
def open_registered(model: str, uri: str) -> Iterator[Opened]:
    """A registered model's files, copied here for as long as the block lasts.

    `verify` lets a model answer with the code that it was registered with; that code compares pairs. Here the model's files are
    read by this version's, which refuses what it does not know.

    Raises:
        RegistryError: the store does not answer, or the model cannot be loaded.
        CheckpointError, DataError: the model is no verifier, or its files are of another version.
    """
    find_store(uri)
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(uri)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=model, dst_path=scratch))
        except (mlflow.MlflowException, OSError) as error:
            raise RegistryError(
                "The model cannot be loaded.", got=error, allowed=ALLOWED, where=shown_uri(uri)
            ) from error
        files = folder / "artifacts" / VERIFIER
        if not files.is_dir():
            raise DataError("The model is no verifier.", got=model, allowed=ALLOWED, where=shown_uri(uri))
        verifier = Verifier.load(files)
        yield Opened(verifier, model, verifier.settings.note, digest_of(files), detector_file(files))


def digest_of(folder: Path, *more: str) -> str:
    """SHA-256 of a verifier's files, but for those that faces' features do not depend on, and of `more`."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in NO_FEATURES):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    digest.update("\0".join(more).encode())
    return digest.hexdigest()
