"""Helper of `ellipse_training`: its phase transition, which is the radii after training at each inverse temperature.

The ellipses differ in their temperature, in their data, and in which of their radii are trained. All of them are
trained by one vmapped and compiled program.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.energies import ellipse
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import SampleLoss
from experiments.application.report import Report
from experiments.drawing import beta_axis, plots

LossOf = Callable[[Any, ellipse.Params, Array], Array]
"""`loss(member, params, batch)` of one of many ellipses."""

Fit = Callable[[str, LossOf, Any, Any], tuple[Float[np.ndarray, "members 2"], Float[np.ndarray, " members"]]]
"""`fit(title, loss, members, data)` trains ellipses from their untrained radii, under a bar. It returns the radii, and
the norms of the last gradients. Members and data have a leading axis, one of each for every ellipse."""

FreeEnergyAt = Callable[[Array], SampleLoss]
"""`free(beta)` is the free energy F_beta(params, y)."""

SAMPLES, EVEN = 0, 1  # the lecture's 24 random points; 24 points of the true ellipse at equal angles, without noise
TOGETHER, FIRST, SECOND = 0, 1, 2  # which radii are trained; the others are fixed at zero
MASKS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
LOWEST_BETA, HIGHEST_BETA = 0.15, 2.0  # of the sweep

REFERENCE = {  # radii at the end of gradient descent from (1.5, 0.4) at each beta, on data of the same distribution
    0.23: (0.0, 0.0),
    0.26: (0.54, 0.0),
    0.4: (1.41, 0.0),
    0.5: (1.59, 0.86),
    1.0: (1.83, 1.29),
    10.0: (1.97, 1.48),
    math.inf: (1.97, 1.50),
}


class Sweep(NamedTuple):
    """Absolute values of the trained radii, and the norm of the last gradient: axes data, mask, beta (, radius)."""

    data: Float[np.ndarray, "2 samples 2"]
    betas: Float[np.ndarray, " betas"]
    radii: Float[np.ndarray, "2 3 betas 2"]
    gradient_norm: Float[np.ndarray, "2 3 betas"]

    def trained(self, beta: float, data: int = SAMPLES) -> Float[np.ndarray, "2"]:
        """Radii at one of the betas, where both are trained."""
        (index,) = np.flatnonzero(self.betas == beta)
        return self.radii[data, TOGETHER, index]


def sweep(fit: Fit, free: FreeEnergyAt, data: Array, even: Array, points: int, more: Sequence[float]) -> Sweep:
    """Train at `points` betas that are evenly spaced in the logarithm, at those of `REFERENCE`, and at `more`."""
    betas = np.array(sorted({*np.geomspace(LOWEST_BETA, HIGHEST_BETA, points).tolist(), *REFERENCE, *more}))
    both = jnp.stack([data, even])

    def loss(member, params, batch):
        mask, beta = member
        only = ellipse.Params(params.radii * mask)
        return energy_loss(free(beta))(only, batch)

    shape = (2, len(MASKS), len(betas))
    of_data, of_mask, of_beta = (index.ravel() for index in np.indices(shape))
    masks = np.array(MASKS, np.float32)[of_mask]
    title = f"training {len(masks)} ellipses at {len(betas)} temperatures"
    members = masks, betas.astype(np.float32)[of_beta]
    radii, norms = fit(title, loss, members, both[of_data])
    return Sweep(np.asarray(both), betas, abs(radii * masks).reshape(*shape, 2), norms.reshape(shape))


def show(report: Report, free: FreeEnergyAt, swept: Sweep) -> None:
    """Draw the trained radii against beta, and tabulate measured and predicted critical temperatures."""
    inside = (swept.betas >= LOWEST_BETA) & (swept.betas <= HIGHEST_BETA)
    betas = swept.betas[inside]
    curvatures = _curvatures(free, swept)[:, :, inside]
    names = (f"the {swept.data.shape[1]} samples", "the even ellipse")
    colors = (plots.PALETTE["blue"], plots.PALETTE["vermillion"])
    figure, axes = plots.panels(1, 2, width=5.6, height=4.4, share_y=True)
    rows = []
    for index, (panel, name) in enumerate(zip(axes[0], names, strict=True)):
        formula = np.asarray(ellipse.critical_beta(jnp.asarray(np.mean(swept.data[index] ** 2, axis=0))))
        radii = swept.radii[index][:, inside]
        for k, color in enumerate(colors):
            alone, together = radii[FIRST + k, :, k], radii[TOGETHER, :, k]
            theory = _first_negative(betas, curvatures[index, k])
            rows.append((name, f"w{'₁₂'[k]}", float(formula[k]), _onset(betas, alone), theory, _onset(betas, together)))
            panel.plot(np.log10(betas), together, color=color, label=f"|w{'₁₂'[k]}|, both trained")
            panel.plot(np.log10(betas), alone, color=color, linestyle="--", linewidth=1.2, label="trained alone")
            panel.axvline(np.log10(formula[k]), color=color, linestyle=":", linewidth=1.4, label="βc = 1/(2 E[y²])")
        beta_axis.draw(panel, betas)
        panel.set_ylabel("radius after training")
        panel.set_title(f"Trained on {name}")
        panel.tick_params(labelleft=True)
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    report.figure(
        "collapse",
        figure,
        "The radii at the end of training at inverse temperature β. The even ellipse has its points at equal angles "
        "and no noise. Each radius is zero below a critical β. A radius that is trained alone (dashed) becomes "
        "positive where the formula predicts it (dotted). When both are trained, the second radius becomes positive "
        "at a smaller β: the first one already sorts the samples by angle, and samples that lie far out along the "
        "other axis get a larger weight.",
    )
    columns = (
        "data",
        "radius",
        "1/(2 E[y²])",
        "measured, trained alone",
        "theory, given the other radius",
        "measured, both trained",
    )
    report.table("Critical inverse temperatures", columns, rows)
    _ends(report, swept)
    values = np.array([row[2:] for row in rows])
    for index, name in ((SAMPLES, "samples"), (EVEN, "even")):
        formula, alone, _, together = values[2 * index : 2 * index + 2].T
        report.summary(
            **{
                f"critical_beta_formula_{name}": formula,
                f"critical_beta_measured_{name}": alone,
                f"critical_beta_together_{name}": together,
            }
        )
    report.summary(
        critical_beta_relative_error=np.abs(values[:, 1] / values[:, 0] - 1).max(),
        largest_final_gradient=swept.gradient_norm[:, :, inside].max(),
    )


def _ends(report: Report, swept: Sweep) -> None:
    rounded = lambda beta, data: [round(float(radius), 3) for radius in swept.trained(beta, data)]
    report.table(
        "Radii at the end of training",
        (
            "inverse temperature",
            "reference w₁",
            "reference w₂",
            "even ellipse w₁",
            "even ellipse w₂",
            "samples w₁",
            "samples w₂",
        ),
        [
            (beta_axis.label(beta), *end, *rounded(beta, EVEN), *rounded(beta, SAMPLES))
            for beta, end in REFERENCE.items()
        ],
    )
    report.text(
        "The reference radii are those at the end of gradient descent from (1.5, 0.4) on another sample of the same "
        "distribution. The critical inverse temperatures of that sample are 0.248 and 0.448; those of the distribution "
        "are 0.250 and 0.443. Training finds radii up to their sign, so absolute values are shown."
    )


def _onset(betas: np.ndarray, radius: np.ndarray) -> float:
    """The beta above which a radius is positive: w² is linear just above it, so its first two values give the zero."""
    first = int(np.argmax(radius > 0.1))
    if radius[first] <= 0.1 or first + 1 >= len(betas):
        return math.nan
    (beta, after), (low, high) = betas[first : first + 2], radius[first : first + 2] ** 2
    return float(beta - low * (after - beta) / (high - low))


def _curvatures(free: FreeEnergyAt, swept: Sweep) -> Float[np.ndarray, "2 2 betas"]:
    """∂²L/∂w_k² at w_k = 0, with the other radius as it is when trained alone: axes data, k, beta.

    It becomes negative where w_k becomes positive. If the other radius were zero, that would be at 1/(2 E[y_k²]).
    """

    def curvature(points, k, beta, radii):
        loss = lambda radii: energy_loss(free(beta))(ellipse.Params(radii), points)
        return jax.hessian(loss)(radii)[k, k]

    over_betas = jax.vmap(curvature, in_axes=(None, None, 0, 0))
    over_radii = jax.vmap(over_betas, in_axes=(None, 0, None, 0))
    over_all = jax.jit(jax.vmap(over_radii, in_axes=(0, None, None, 0)))
    others = swept.radii[:, (SECOND, FIRST)]
    return np.asarray(over_all(swept.data, np.arange(2), swept.betas.astype(np.float32), others))


def _first_negative(betas: np.ndarray, curvature: np.ndarray) -> float:
    """The beta at which a curvature first becomes negative, interpolated between the betas of the sweep."""
    first = int(np.argmax(curvature < 0))
    if first == 0:
        return math.nan
    (low, high), (before, after) = betas[first - 1 : first + 1], curvature[first - 1 : first + 1]
    return float(low + (high - low) * before / (before - after))
