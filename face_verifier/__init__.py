"""The verifier from Python, without MLflow: `from face_verifier import Verifier`."""

from pipeline_lib.delivery.opened import Verifier
from pipeline_lib.delivery.verifier.answers import Comparison, as_row

__all__ = ["Comparison", "Verifier", "as_row"]
