"""The group `sparse` compares codes at equal objectives: its sides reach them, and a side that does not is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import sparse
from benchmarks.runner import Outcome
from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params, energy


@pytest.fixture(scope="module")
def case():
    return sparse._codes(sparse.Work(atoms=64, count=100, unit=True, suboptimality=1e-5))


@pytest.mark.slow
def test_sides_take_the_loosest_tolerance_that_is_exact_enough(case):
    ours = case.ours.prepare()()
    assert 0 <= ours.result <= 1e-5 + 1e-6
    if "sklearn" in case.peers:
        peer = case.peers["sklearn"].prepare()()
        case.agree(ours, peer)
        assert peer.objective == pytest.approx(ours.objective, rel=2e-5)


def test_what_is_not_exact_enough_is_refused(case):
    good, bad = Outcome(5e-6, 1.0), Outcome(2e-3, 1.0)
    case.agree(good, good)
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(AssertionError, match=r"2\.0e-03 above the least"):
            case.agree(*pair)


def test_a_peer_that_is_below_the_least_energy_is_refused():
    case = sparse._small(sparse.Work(atoms=64, count=10, unit=True, suboptimality=1e-3, share=1e-3))
    case.agree(Outcome(5e-4, 1.0), Outcome(0.5, 1.0))  # LARS in float32 is above it
    for pair in ((Outcome(2e-3, 1.0), Outcome(0.0, 1.0)), (Outcome(0.0, 1.0), Outcome(-2e-3, 1.0))):
        with pytest.raises(AssertionError, match=r"2\.0e-03"):
            case.agree(*pair)


def test_the_objective_is_the_energy():
    random = np.random.default_rng(0)
    arrays = [jnp.asarray(random.normal(size=shape), jnp.float32) for shape in ((4, 6), (3, 4), (3, 6))]
    dictionary, data, codes = arrays
    expected = [energy(Params(dictionary), l1(sparse.WEIGHT), y, z) for y, z in zip(data, codes, strict=True)]
    assert sparse._energy(*(np.asarray(array) for array in arrays), sparse.WEIGHT) == pytest.approx(
        np.mean(expected), rel=1e-5
    )
