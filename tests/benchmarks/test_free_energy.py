"""The small cases of the group `free_energy`: our side is right, and agrees with pymbar where it is installed."""

import jax
import pytest

from benchmarks import free_energy


@pytest.mark.parametrize("index", [0, 1], ids=["float64", "float32"])
def test_states(index):
    case = free_energy.cases(quick=True)[index]
    ours = case.ours.prepare()()
    assert 0.1 < ours.objective < 3  # the root mean square of five z-scores
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for peer in case.peers.values():
            case.agree(ours, peer.prepare()())
