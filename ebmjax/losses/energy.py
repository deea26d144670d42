"""The energy loss: the mean free energy of the data, which training makes low."""

from ebmjax.losses.functional import Loss, SampleLoss, mean_over_samples


def energy_loss(free_energy: SampleLoss) -> Loss:
    """ℓ = F(y): the mean free energy of the data. It needs an architecture that cannot be low everywhere.

    Args:
        free_energy: `free_energy(params, sample) -> scalar`.

    LeCun et al. (2006), eq. 7.

    >>> import jax.numpy as jnp
    >>> float(energy_loss(lambda centre, y: (y - centre) ** 2)(1.0, jnp.array([0.0, 3.0])))
    2.5
    """
    return mean_over_samples(free_energy)
