"""Networks are built, read and trained on machines that have torch, pydantic and little else; a kind is imported alone."""

import subprocess
import sys
from pathlib import Path

from pipeline_lib.core.kinds import kind_names

CODE = """
import sys
for name in ("prefect", "dvc", "mlflow", "onnx", "onnxscript", "onnxruntime"):
    sys.modules[name] = None  # importing it raises ImportError
import pipeline_lib.networks.backbones.shared.checkpoints, pipeline_lib.networks.export, pipeline_lib.networks.training.fit
from pipeline_lib.networks.backbones.shared.build import build_network, spec_from_json
patches = {"side_px": 28, "layout": "all49", "mask_share": 0.0, "mask_mode": "drop"}
fields = {"arch": "vit", "embedding_dim": 8, "input_px": 112, "patches": patches}
fields |= {"depth": 1, "heads": 1, "token_px": 14, "width": 0.125}
print(type(build_network(spec_from_json(fields, "here")).backbone).__name__)
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.settings import head_settings
from pipeline_lib.params.networks import Head
print(type(build_head(head_settings(Head(kind="uniface", scale=8.0, margin=0.1), "here"), 4, 3)).__name__)
for kind in sys.argv[1:]:
    if kind in sys.modules:
        print(kind)
"""


def test_networks_need_none_of_the_pipelines_packages_and_import_only_what_is_named(repository: Path) -> None:
    folders = ("networks.backbones", "networks.heads")
    kinds = [f"pipeline_lib.{folder}.{kind}" for folder in folders for kind in kind_names(folder)]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *kinds], cwd=repository, capture_output=True, text=True, check=False
    )
    imported = [f"pipeline_lib.{kind}" for kind in ("networks.backbones.vit", "networks.heads.uniface")]
    assert done.stdout.split() == ["ViT", "UniFace", *imported], done.stderr


def test_spec_needs_no_torch(repository: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; import pipeline_lib.networks.backbones.shared.spec"
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)
