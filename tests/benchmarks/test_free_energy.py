"""The small cases of the group `free_energy`: our side is right, and agrees with pymbar where it is installed."""

import jax
import pytest

from benchmarks import annealing, elimination, free_energy


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1], ids=["float64", "float32"])
def test_states(index):
    case = free_energy.cases(quick=True)[index]
    ours = case.ours.prepare()()
    assert 0.1 < ours.objective < 3  # the root mean square of five z-scores
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for peer in case.peers.values():
            case.agree(ours, peer.prepare()())


@pytest.mark.slow
def test_annealing_agrees_with_numpy():
    case = annealing.cases(quick=True)[0]
    ours = case.ours.prepare()()
    for peer in case.peers.values():
        case.agree(ours, peer.prepare()())


@pytest.mark.slow
@pytest.mark.parametrize("case", elimination.cases(quick=True), ids=["log_partition", "ground_state"])
def test_elimination_agrees_with_its_peer(case):
    ours = case.ours.prepare()()
    assert abs(ours.objective) > 1
    for peer in case.peers.values():
        case.agree(ours, peer.prepare()())
