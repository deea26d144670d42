"""The posterior of the latent angle of an ellipse, from hot to cold, where it is a narrow peak beside a trap."""

from typing import Annotated

import jax.numpy as jnp
import numpy as np

from ebmjax.checks import as_float, check_positive
from ebmjax.problems.laws.problem import Problem, exact, normal_start
from ebmjax.types import Numbers

ANGLES = 2 * np.pi * np.arange(2**17) / 2**17
SPRING = 16.0
"""Of the length of the vector."""


def ellipse_posterior(
    beta: float = 1.0, y: Annotated[Numbers, "2"] = (0.3, 0.2), radii: Annotated[Numbers, "2"] = (2.0, 1.5)
) -> Problem:
    """E(u) = ‖y - (w₁ u₁/r, w₂ u₂/r)‖² + 16 (r - 1)²,    r = ‖u‖.

    The angle of the plane vector u is the latent angle z of `energies.ellipse`, and the law of this angle is
    exp(-beta E(y, z)) on the circle. A stiff spring holds the length r near 1, away from 0, where there is no angle: u
    runs over the plane. For the default y, inside the ellipse, there is a second minimum on the other side: at beta = 1
    the law is wide, and at beta = 10⁴ its peak is 0.005 wide, and chains that start at the other minimum stay there.

    Args:
        beta: inverse temperature, positive.
        y: the observed point.
        radii: w, the semi-axes.

    Raises ValueError for a beta that is not positive, and for y or radii that are not two numbers.

    >>> problem = ellipse_posterior()
    >>> round(float(problem.energy(jnp.array([0.0, 1.0]))), 3), problem.truth.means.round(3).tolist()
    (1.78, [0.332, 0.371])
    """
    check_positive("beta", beta)
    beta = float(beta)
    point = np.asarray(as_float("y", y, (2,)), np.float64)
    axes = np.asarray(as_float("radii", radii, (2,)), np.float64)

    def energy(x):
        length = jnp.sqrt(jnp.sum(x**2))
        away = jnp.asarray(point, x.dtype) - jnp.asarray(axes, x.dtype) * x / length
        return jnp.sum(away**2) + SPRING * (length - 1) ** 2

    circle = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    heights = np.sum((point - axes * circle) ** 2, axis=1)
    shares = np.exp(-beta * (heights - heights.min()))
    shares /= shares.sum()
    reach = 9 / np.sqrt(2 * SPRING * beta)
    # midpoints from 0 on where the tail reaches it: there the law of r, r exp(-16 beta (r - 1)²), ends
    edges = np.linspace(max(0.0, 1 - reach), 1 + reach, 200_001)
    lengths = (edges[1:] + edges[:-1]) / 2
    weights = lengths * np.exp(-SPRING * beta * (lengths - 1) ** 2)
    weights /= weights.sum()
    moments = [(weights @ lengths**power) * (shares @ circle**power) for power in (1, 2, 4)]
    truth = exact(moments[0], moments[1], moments[2], "quadrature")
    return Problem(f"ellipse, beta {beta:g}", energy, beta, 2, normal_start(2, 1.0), truth)
