"""Means over explained pairs with their intervals, as metrics.json and the report have them: protocol by protocol."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from pipeline_lib.core.bootstrap import NUM_RESAMPLES, Estimate, IdentityBootstrap


class OfPair(Protocol):
    """What a mean has to know of a pair."""

    @property
    def protocol(self) -> str: ...
    @property
    def identity_a(self) -> str: ...
    @property
    def identity_b(self) -> str: ...


def of_protocols(pairs: Sequence[OfPair]) -> Iterator[tuple[str, IdentityBootstrap, list[int]]]:
    """Each protocol of `pairs` in their order, the resamples of its identities, and which of the pairs are its own.

    Equal pairs have equal resamples, whoever measures them.
    """
    for protocol in dict.fromkeys(pair.protocol for pair in pairs):
        chosen = [index for index, pair in enumerate(pairs) if pair.protocol == protocol]
        yield protocol, resampled([(pairs[index].identity_a, pairs[index].identity_b) for index in chosen]), chosen


def resampled(people: Sequence[tuple[str, str]]) -> IdentityBootstrap:
    """The resamples of these pairs' identities; one seed serves all, for pairs and identities differ."""
    return IdentityBootstrap(np.array(people), NUM_RESAMPLES, np.random.default_rng(0))


def flat_estimates(name: str, estimate: Estimate) -> dict[str, float]:
    """For metrics.json: {name_mean, name_low, name_high}, without the interval where there is none."""
    figures = {"mean": estimate.value, "low": estimate.low, "high": estimate.high}
    return {f"{name}_{key}": value for key, value in figures.items() if value is not None}
