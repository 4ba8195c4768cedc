"""Section `register`: the model that goes to the registry."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import Section


class Register(Section):
    """`candidates`: columns of the score table, or auto for all that can be served; the best on the val pairs is registered."""

    candidates: Literal["auto"] | Annotated[list[str], Field(min_length=1)]
    model_name: Annotated[str, Field(pattern=r"^[^/:]+$")]  # MLflow's rule
