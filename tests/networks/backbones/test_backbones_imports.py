"""Networks are built, read and trained on machines that have torch and little else."""

import subprocess
import sys

CODE = """
import sys
for name in ("pydantic", "prefect", "dvc", "mlflow", "onnx", "onnxscript", "onnxruntime"):
    sys.modules[name] = None  # importing it raises ImportError
import pipeline_lib.networks.backbones.shared.checkpoints, pipeline_lib.networks.export, pipeline_lib.networks.training.fit
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
spec = NetworkSpec("rrfnet", (), 0.125, 8, 28, "all49", backbone="vit", depth=1, heads=1, token_px=14)
print(type(build_network(spec).backbone).__name__)
"""


def test_networks_need_none_of_the_pipelines_packages(repository: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=str(repository), capture_output=True, text=True, check=False
    )
    assert done.stdout == "ViT\n", done.stderr
