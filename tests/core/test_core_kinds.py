"""Kinds: a name is a module of one folder, imported only when named."""

import subprocess
import sys

import pytest
from pydantic import BaseModel, ConfigDict

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import checked, kind_names, load_kind


def test_a_folders_modules_are_its_kinds() -> None:
    names = kind_names("networks.backbones")
    assert {"iresnet", "bagnet", "vit", "mobilefacenet"} <= set(names)
    assert "shared" not in names
    assert names == sorted(names)


@pytest.mark.parametrize("name", ["resnet", "shared", "shared.build", "../heads/arcface", "", "__init__", "os"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=r"no such kind[\s\S]*iresnet[\s\S]*params\.yaml, networks\.n"):
        load_kind("networks.backbones", name, "params.yaml, networks.n")


def test_no_other_kind_is_imported() -> None:
    code = (
        "import sys; from pipeline_lib.core.kinds import load_kind; load_kind('networks.heads', 'cosface', '');"
        "print([m for m in sys.modules if m.startswith('pipeline_lib.networks.heads.')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "cosface" in shown
    assert not any(name in shown for name in ("arcface", "adaface", "uniface"))


def test_every_wrong_key_is_named_at_once() -> None:
    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        a: int
        b: float

    with pytest.raises(ParamsError) as caught:
        checked(Settings, {"a": "x", "c": 1}, "here")
    text = str(caught.value)
    assert all(part in text for part in ("a: Input should be", "b: Field required", "c: Extra inputs", "where: here"))
    assert checked(Settings, {"a": 1, "b": 2}, "here").a == 1
