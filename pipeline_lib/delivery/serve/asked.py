"""What a request may ask for beside its photographs; whatever else it names is refused."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline_lib.delivery.serve.limits import Refused

Number = Annotated[int, Field(ge=1)]


class VerifyAsked(BaseModel):
    """Of a comparison, as the options of `face-verifier verify`, but that `check` is off unless it is asked for."""

    model_config = ConfigDict(extra="forbid")
    method: Annotated[str, Field(description="What explains the score: auto, additive, xssab, ...")] = "auto"
    check: Annotated[bool, Field(description="Also hide each part of the faces; some seconds more.")] = False
    fmr: Annotated[float | None, Field(description="Decide at this false-match rate.")] = None
    threshold: Annotated[float | None, Field(description="Decide at this threshold.")] = None
    face_a: Annotated[Number | None, Field(description="Which face of image_a, from the left, counted from 1.")] = None
    face_b: Annotated[Number | None, Field(description="Which face of image_b.")] = None
    name_a: Annotated[str | None, Field(description="What image_a is called, if it comes as text.")] = None
    name_b: Annotated[str | None, Field(description="What image_b is called.")] = None


class IdentifyAsked(BaseModel):
    """Of a search, as the options of `face-verifier identify`."""

    model_config = ConfigDict(extra="forbid")
    top: Annotated[Number, Field(le=1000, description="How many people to list.")] = 5
    fpir: Annotated[float, Field(gt=0, lt=1, description="The false-positive identification rate.")] = 0.01
    rerank: Annotated[bool | None, Field(description="Order the best by patches of the faces, too.")] = None
    face: Annotated[Number | None, Field(description="Which face of the image, from the left, counted from 1.")] = None
    name: Annotated[str | None, Field(description="What the image is called, if it comes as text.")] = None


Asked = TypeVar("Asked", bound=BaseModel)


def read_asked(kind: type[Asked], fields: dict[str, object], photographs: tuple[str, ...]) -> Asked:
    """The fields that are left when the photographs are taken out.

    Raises:
        Refused: there is another one (422), or a value is not possible (422); no value is repeated.
    """
    unknown = sorted(name[:40] for name in fields if name not in kind.model_fields)
    if unknown:
        allowed = ", ".join([*photographs, *kind.model_fields])
        raise Refused(422, "There is no such field.", got=", ".join(unknown[:5]), allowed=allowed)
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        told = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_input=False))
        raise Refused(422, "A field is not as it must be.", got=told) from error
