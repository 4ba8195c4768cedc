"""The verifier as Python code asks it: three ways to load it, one pair a call."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.delivery.verifier import shipped
from pipeline_lib.delivery.verifier import verifier as engine
from pipeline_lib.delivery.verifier.answers import Comparison
from pipeline_lib.delivery.verifier.files import SETTINGS
from pipeline_lib.delivery.verifier.pictures_in import read_picture

REGISTERED = "models:/"
FOLDERS = (".", "verifier", "artifacts/verifier")  # of a verifier's files, below what names a model


class Verifier:
    """Compares photographs, each a path (str or pathlib.Path), a file's bytes, a PIL image, or uint8 RGB pixels (H, W, 3).

    Several threads may ask one at once. `settings`, `calibration` and `about` of the `engine` say what answers.

    Args:
        engine: what computes; Verifier.load gives one.
    """

    def __init__(self, engine: engine.Verifier) -> None:
        self.engine = engine

    @classmethod
    def load(cls, model: str | Path | None = None, tracking_uri: str | None = None) -> "Verifier":
        """The verifier that the package brings, that of a model's folder, or a registered one.

        Args:
            model: None for the package's own; the folder of a model, such as data/register/model; or
                `models:/NAME@ALIAS` or `models:/NAME/VERSION` of MLflow's store, for which alone MLflow is imported.
            tracking_uri: the store's; None for that of the command line.

        Raises:
            DataError: the folder holds no verifier, or one of another version.
            CheckpointError: its files are damaged.
            RegistryError: the store does not answer, or has no such model.
        """
        if model is None:
            return cls(shipped.load_shipped())
        if isinstance(model, str) and model.startswith(REGISTERED):
            from pipeline_lib.delivery.identify.model import open_registered
            from pipeline_lib.tracking.store import existing_store

            with open_registered(model, existing_store(tracking_uri)) as opened:
                return cls(opened.verifier)
        folder = Path(model)
        found = next((folder / inside for inside in FOLDERS if (folder / inside / SETTINGS).is_file()), None)
        if found is None:
            raise DataError("The folder holds no verifier.", got=folder, allowed="data/register/model, or models:/...")
        return cls(engine.Verifier.load(found))

    def verify(self, a: object, b: object, *, explain: bool = True, **asked: Any) -> Comparison:
        """Compare two photographs.

        Args:
            a, b: see the class.
            explain: also say which parts of the faces the score comes from.
            asked: `method`, `check`, `fmr`, `threshold`, see verifier.verifier.Verifier.compare.

        Returns:
            What `face-verifier verify` answers; answers.as_row makes of it what its --json prints.

        Raises:
            DataError: one of them is no picture, or has no usable face.
        """
        (answer,) = self.engine.compare([(_file(a), _file(b))], explain=explain, **asked)
        if answer.error is not None:
            raise DataError("There is no verdict.", got=answer.error)
        return answer

    def embed(self, photograph: object) -> npt.NDArray[np.float32]:
        """The face's embedding, float32 (D,), not normalised.

        Raises:
            DataError: it is no picture, or has no usable face; the model compares regions, and has no one vector of a face.
        """
        try:
            face = self.engine.aligned(read_picture(_file(photograph), self.engine.settings.max_pixels))
        except FaceReject as error:
            raise DataError("There is no face to embed.", got=engine.in_words(error)) from error
        vectors = self.engine.encoder.encode(face[None]).vectors
        if vectors is None:
            raise DataError("This model has no one vector of a face.", got=self.engine.settings.score)
        vector: npt.NDArray[np.float32] = vectors[0]
        return vector


def _file(value: object) -> object:
    """A text names a file here: who calls from Python is no stranger's request."""
    return Path(value) if isinstance(value, str) else value
