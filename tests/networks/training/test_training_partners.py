"""Partners of samples: halves, evenness, nobody beside itself, and draws that depend on nothing but seed, epoch, sample."""

from collections import Counter

import numpy as np
from test_training_data import faces

from pipeline_lib.networks.training.data import load_batch
from pipeline_lib.networks.training.partners import Partners

LABELS = np.array([2, 0, 1, 0, 3, 2, 0, 2, 2])  # identities 1 and 3 have one image


def drawn(sample: int, num: int = 2000) -> Counter[int]:
    partners = Partners(LABELS)
    return Counter(partners.draw(sample, seed=1, epoch=epoch) for epoch in range(num))


def test_half_of_the_pairs_are_genuine_and_all_partners_are_equally_likely() -> None:
    for sample in (0, 1, 8):
        found = drawn(sample)
        others = [i for i in np.flatnonzero(LABELS[sample] == LABELS) if i != sample]
        strangers = np.flatnonzero(LABELS[sample] != LABELS)
        assert set(found) == {*others, *strangers.tolist()}
        genuine = sum(found[i] for i in others)
        assert abs(genuine - 1000) < 5 * np.sqrt(2000 / 4)  # five standard deviations
        for group, num in ((others, genuine), (strangers, 2000 - genuine)):
            expected = num / len(group)
            assert all(abs(found[int(i)] - expected) < 5 * np.sqrt(expected) for i in group)


def test_who_is_alone_meets_strangers() -> None:
    assert Partners(LABELS).num_alone == 2
    assert set(drawn(4)) == {0, 1, 2, 3, 5, 6, 7, 8}


def test_draws_depend_on_seed_epoch_and_sample_only() -> None:
    one, other = Partners(LABELS), Partners(LABELS)
    forth = [one.draw(sample, 1, 2) for sample in range(9)]
    back = [other.draw(sample, 1, 2) for sample in reversed(range(9))]
    assert forth == back[::-1]
    assert [one.draw(s, 2, 2) for s in range(9)] != forth
    assert [one.draw(s, 1, 3) for s in range(9)] != forth


def test_a_batch_holds_each_sample_and_then_its_partner() -> None:
    dataset = faces()
    partners = Partners(dataset.labels)
    samples = np.array([4, 1, 0])
    batch = load_batch(dataset, samples, 5, 1, 2, lambda rng: None, True, partners)
    wanted = [who for sample in samples.tolist() for who in (sample, partners.draw(sample, 1, 2))]
    assert batch.samples.tolist() == wanted
    assert batch.labels.tolist() == dataset.labels[wanted].tolist()
    assert batch.noise.shape == (6,)
    assert np.array_equal(batch.images[0], dataset.load(np.array(wanted), 5, 1, 2)[0])
    halves = [
        load_batch(dataset, part, 5, 1, 2, lambda rng: None, True, partners) for part in (samples[:2], samples[2:])
    ]
    assert np.array_equal(np.concatenate([half.images[0] for half in halves]), batch.images[0])
