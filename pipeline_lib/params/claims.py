"""Section `claims`: how sure the claims ledger has to be."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.params.section import Section


class Claims(Section):
    """`num_bootstrap` resamples of the identities behind every interval."""

    num_bootstrap: Annotated[int, Field(ge=100)]
    seed: int
