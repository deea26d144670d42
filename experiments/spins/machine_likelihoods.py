"""log Z of a Boltzmann machine by annealed chains in both directions, and the draws from which they come back."""

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Key, PyTree

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.likelihoods import restricted
from ebmjax.likelihoods.paths import Path, both_ways, chained_ends
from ebmjax.marginalize.path_weights import estimate_of_both, estimate_of_reverse, estimate_of_weights
from ebmjax.types import Estimate

MOST_HIDDEN = 20
"""Of a machine with at most so many hidden units, log Z and draws are exact: all hidden states are enumerated."""


def ends(
    key: Key[Array, ""],
    params: rbm.Params,
    way: Path,
    schedule: Float[Array, " laws"],
    chains: int,
    sweeps: int,
) -> Float[Array, "chains visible"]:
    """Draws of the machine at beta = 1: exact ones where its hidden units can be enumerated, else those of long chains.

    Args:
        key: typed random key.
        params: the machine.
        way: its path, of `restricted.path`.
        schedule: laws on the way of the chains that the long ones continue.
        chains: how many draws.
        sweeps: of the long chains.
    """
    if params.hidden_bias.shape[0] <= MOST_HIDDEN:
        return restricted.draws(key, params, 1.0, chains)
    return chained_ends(key, way, schedule, chains, sweeps)


class Sides(NamedTuple):
    """log Z by each direction alone and by both."""

    forward: Estimate
    """Of the chains that go to the machine: too low in the mean."""
    reverse: Estimate
    """Of the chains that come back: too high in the mean."""
    both: Estimate
    """Of all: it has the smallest error, and a bound on each side."""


def sides(key: Key[Array, ""], way: Path, schedule: Float[Array, " laws"], ends: PyTree[Any]) -> Sides:
    """log Z of a machine from both sides.

    Args:
        key: typed random key.
        way: from independent units to the machine.
        schedule: laws on the way.
        ends: draws of the machine.
    """
    weights, start = both_ways(key, way, schedule, ends), way.log_partition
    return Sides(
        estimate_of_weights(weights.forward, start),
        estimate_of_reverse(weights.back, start),
        estimate_of_both(weights.forward, weights.back, start),
    )
