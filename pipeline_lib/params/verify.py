"""Section `verify`: how pairs are judged."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.params.section import OpenSection, Section


class Protocol(OpenSection):
    """How a protocol's pairs are evaluated: `kind` names a module of matching/verification/protocols, which checks the rest."""

    kind: str


class Verify(Section):
    """Pair verification; a rate too low for the number of impostors is left out of the tables.

    `protocols`: those that are not evaluated as kfold, by name.
    """

    false_accept_rates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    protocols: dict[str, Protocol] = {}
