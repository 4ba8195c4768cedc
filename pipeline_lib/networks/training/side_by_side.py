"""Which networks are computed as one."""

import itertools
from collections.abc import Iterator, Mapping

from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones.shared.build import is_stackable
from pipeline_lib.networks.backbones.shared.stacked import first_map_values
from pipeline_lib.networks.training.trainee import Trainee

# Of the first maps of networks that are computed as one: 2 MiB of float32, which stay in a core's cache; and no more than
# benchmarks.networks_as_one measures on a GPU, eight networks of width 1 on 64 images of 28 px.
VALUES_AT_ONCE = {"cpu": 1 << 19, "cuda": 8 * 64 * 28**2 * 64}


def side_by_side(trainees: Mapping[str, Trainee], micro_batch: int, world: World) -> Iterator[dict[str, Trainee]]:
    """Trainees in groups that are computed as one, in order.

    On a CPU a small network loses most of its time between its layers and in loops over few channels; several as one lose
    it once, as long as their maps stay in the cache (benchmarks.regions_together). A GPU
    idles through most of a small network's step: eight as one take about as long as two alone (benchmarks.networks_as_one).
    """
    for spec, group in itertools.groupby(trainees.items(), lambda item: item[1].network.spec):
        of_one_spec = list(group)
        size = 1
        if is_stackable(spec):
            first_map = micro_batch * first_map_values(of_one_spec[0][1].network)
            size = max(1, VALUES_AT_ONCE[world.device.type] // first_map)
        for start in range(0, len(of_one_spec), size):
            yield dict(of_one_spec[start : start + size])
