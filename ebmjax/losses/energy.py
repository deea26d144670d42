"""The energy loss: the mean free energy of the data."""

from ebmjax.checks import check_callable
from ebmjax.losses.functional import Loss, mean_over_samples
from ebmjax.types import ModelEnergy


def energy_loss(free_energy: ModelEnergy) -> Loss:
    """ℓ = F(y): the mean free energy of the data.

    It needs an architecture whose F cannot be low everywhere. Otherwise a flat F is its minimum.

    Args:
        free_energy: `free_energy(params, sample) -> scalar`, in units of energy.

    Returns:
        `loss(params, batch) -> scalar`, in the same units.

    Raises:
        ValueError: what is no function.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 7.

    >>> import jax.numpy as jnp
    >>> float(energy_loss(lambda centre, y: (y - centre) ** 2)(1.0, jnp.array([0.0, 3.0])))
    2.5
    """
    check_callable("free_energy", free_energy)
    return mean_over_samples(free_energy)
