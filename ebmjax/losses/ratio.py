"""How much likelier one state is than another: the one thing about probabilities that an energy tells without Z."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.temperature import check_beta, reduced
from ebmjax.types import Beta, Energy


def log_ratio(energy: Energy, x: Any, other: Any, beta: Beta) -> Float[Array, ""]:
    """log p(x) / p(other) = beta (E(other) - E(x)), in nats: positive where x is likelier. Z cancels.

    Args:
        energy: `energy(unknown) -> scalar`.
        x, other: two states of one form.
        beta: inverse temperature in [0, inf]; at inf the ratio is inf, -inf, or 0 for a tie.

    Raises:
        ValueError: a bad beta.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 2.

    >>> float(log_ratio(lambda x: x**2, 1.0, 3.0, beta=0.5))
    4.0
    """
    check_beta(beta)
    return reduced(jnp.asarray(energy(other)) - jnp.asarray(energy(x)), beta)
