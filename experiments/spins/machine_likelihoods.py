"""Draws of restricted Boltzmann machines of any size, from which annealed chains come back."""

from jaxtyping import Array, Float, Key

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.likelihoods import restricted
from ebmjax.likelihoods.paths import Path, chained_ends

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
