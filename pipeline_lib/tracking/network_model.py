"""The networks' code, which MLflow runs when it loads a training stage's model (models from code); nothing else imports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

if TYPE_CHECKING:
    from pipeline_lib.networks.backbones.shared.network import FaceNetwork

BATCH_SIZE = 64


class FaceEmbedder(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is not followed by mypy
    """pyfunc: aligned faces, or a region's patches, to embeddings."""

    networks: dict[str, "FaceNetwork"]

    def load_context(self, context: Any) -> None:
        """Load every network of the model's artifacts."""
        from pipeline_lib.networks.backbones.shared.checkpoints import (
            load_network,
        )  # torch only where faces are embedded:

        # MLflow runs this file when it logs the model, too
        self.networks = {name: load_network(Path(path)) for name, path in context.artifacts.items()}

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,  # MLflow knows this annotation, and none with a dtype
        params: Mapping[str, Any] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Embed images.

        Args:
            context: not used.
            model_input: float32 (B, 3, S, S), RGB in [-1, 1] = rgb / 127.5 - 1, S = 112 or the patch side; B may be 0.
            params: `network`, which of the model's networks; `normalise`, true for embeddings of length 1.

        Returns:
            float32 (B, D).

        Raises:
            DataError: the model has no such network, or its images have another side.
        """
        import torch

        from pipeline_lib.networks.backbones.shared.network import channels_last

        assert params is not None, "MLflow fills in the signature's defaults"
        name = params["network"]
        if name not in self.networks:
            raise DataError("The model has no such network.", got=name, allowed=", ".join(self.networks))
        network = self.networks[name]
        shape = (3, network.spec.input_px, network.spec.input_px)
        if model_input.shape[1:] != shape:
            raise DataError(f"Images for {name} have another shape.", got=model_input.shape, allowed=f"(B, *{shape})")
        embeddings = np.empty((len(model_input), network.spec.embedding_dim), np.float32)
        for first in range(0, len(model_input), BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            with torch.inference_mode():
                embedded = network(channels_last(torch.from_numpy(model_input[part])))
                embeddings[part] = torch.nn.functional.normalize(embedded) if params["normalise"] else embedded
        return embeddings


mlflow.models.set_model(FaceEmbedder())
