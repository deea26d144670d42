"""Helper of `horn`, `horn_sweep`, `horn_generalized` and `horn_data`: training and measuring horns."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key

from ebmjax import circle, free_energy, gradient, problems
from ebmjax.energies import ellipse, horn
from ebmjax.learn.train import begin
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.descent import newton
from ebmjax.minimize.search import refined_search
from ebmjax.types import Beta, Energy, Space
from experiments.application.report import Report
from experiments.application.shown import one_epoch, sweep_shown

ANGLES = circle(48)  # the lecture's latent grid
X = jnp.linspace(0, 1, 51)  # where horns are drawn and radii are compared
# Without a penalty, one of 256 networks fits the last four samples at one end of x alone, by large weights. Any small
# penalty on the weights prevents this.
WEIGHT_PENALTY = 3e-6


def cold(params: horn.Params, sample: tuple[Array, Array]) -> Float[Array, ""]:
    """F_inf of one sample (x, y), fast enough for training: the best angle of the grid and two Newton steps."""
    energy = partial(horn.energy, params, *sample)
    return refined_search(energy, ANGLES, partial(newton, max_steps=2), starts=1).energy


def warm(params: horn.Params, sample: tuple[Array, Array], beta: Beta) -> Float[Array, ""]:
    """F_beta of one sample (x, y) at any temperature: the grid, and one more point for a peak too narrow for it."""
    energy = partial(horn.energy, params, *sample)
    return free_energy(energy, with_minimum(energy, beta), beta)


def with_minimum(energy: Energy, beta: Beta) -> Space:
    """The grid of angles and the minimum z*, which gets the mass that the grid misses of the peak around it.

    The peak of exp(-beta E) has the width σ = 1/√(beta E''), and so the mass σ √(2π)/2π (Laplace). The relative error
    of its sum on a grid of spacing h is 2 exp(-2π²σ²/h²): nearly 0 for a wide peak, 1 for a peak between two angles. At
    beta = inf only z* has a weight. The error of the free energy is a small part of 1/beta. `ebmjax.refine` is exact,
    at six times the cost.
    """
    minimum = refined_search(energy, ANGLES, partial(newton, max_steps=2), starts=1).value
    curvature = jax.grad(jax.grad(energy))(minimum)
    spacing = 2 * jnp.pi / len(ANGLES.points)
    width = 1 / jnp.sqrt(jnp.maximum(jnp.minimum(beta, 1e12) * curvature, 1.0))
    missed = jnp.minimum(2 * jnp.exp(-2 * (jnp.pi * width / spacing) ** 2), 1)
    mass = jnp.maximum(missed * width / jnp.sqrt(2 * jnp.pi), 1e-12)
    log_weights = jnp.append(ANGLES.log_weights, jnp.log(jax.lax.stop_gradient(mass)))
    return Space(jnp.append(ANGLES.points, minimum), log_weights, ANGLES.log_volume)


class Trained(NamedTuple):
    """Trained horns, with a leading axis."""

    params: horn.Params
    finite: Bool[np.ndarray, " horns"]
    """Whether the parameters were finite to the end."""


def train_horns(
    report: Report,
    title: str,
    keys: Key[Array, " horns"],
    free: Callable[[horn.Params, tuple[Array, Array], Array], Array],
    betas: Float[np.ndarray, " horns"],
    data: problems.HornData,
    batch_size: int,
    epochs: int,
    rate: float,
) -> Trained:
    """Train many horns at once, in one compiled program, by Adam with cosine decay.

    Args:
        report: the report of the run, which shows a bar. The median losses go to metrics.jsonl.
        title: what is in front of the bar.
        keys: for the initializations and the batches.
        free: `free(params, (x, y), beta)`, the free energy of one sample.
        betas: of each horn.
        data: training samples of all horns, or with a leading axis those of each.
        batch_size, epochs: as in `ebmjax.train`.
        rate: the first learning rate.
    """
    own = data.x.ndim == 2
    schedule = optax.cosine_decay_schedule(rate, epochs * (data.x.shape[-1] // batch_size))

    def learner(beta):
        mean_free_energy = energy_loss(lambda params, sample: free(params, sample, beta))

        def loss(params, batch):
            return mean_free_energy(params, batch) + WEIGHT_PENALTY * optax.tree.norm(params, squared=True)

        return gradient(loss, optax.adam(schedule))

    def start(key, beta):
        init_key, train_key = jax.random.split(key)
        return begin(train_key, learner(beta), horn.init(init_key), epochs)

    def step(progress, key, beta, data):
        progress, metrics = one_epoch(key, learner(beta), progress, tuple(data), batch_size)
        return progress, metrics.learner.loss.mean()

    def tell(done, losses):
        median = float(np.median(losses[-1]))
        report.metrics(epoch=done + len(losses), median_loss=median)
        return f"median loss {median:.4g}"

    progress, epoch_keys = jax.jit(jax.vmap(start, out_axes=(0, 1)))(keys, betas)
    steps = jax.vmap(step, (0, 0, 0, 0 if own else None))
    each = lambda progress, keys, mine, *shared: steps(progress, keys, *mine, *shared)
    mine, shared = ((betas, data), ()) if own else ((betas,), (data,))
    progress, _ = sweep_shown(report, title, each, progress, epoch_keys, mine, *shared, tell=tell)
    return Trained(*jax.device_get((progress.state.params, progress.alive)))


def free_energies(params: horn.Params, data: problems.HornData) -> Float[Array, " samples"]:
    """F_inf of every sample, with z refined to full precision."""
    one = lambda x, y: refined_search(partial(horn.energy, params, x, y), ANGLES).energy
    return jax.vmap(one)(data.x, data.y)


def true_free_energies(data: problems.HornData) -> Float[Array, " samples"]:
    """F_inf of the true horn: the squared distance of each sample from it, at the x of the sample."""
    truth = lambda x: ellipse.Params(problems.horn_radii(x))
    one = lambda x, y: refined_search(partial(ellipse.energy, truth(x), y), ANGLES).energy
    return jax.vmap(one)(data.x, data.y)


def noise_floor(data: problems.HornData) -> Float[Array, ""]:
    """Mean F_inf of the true horn on these samples. No model is expected to have a smaller one on new samples."""
    return true_free_energies(data).mean()


def radii(params: horn.Params, x: Float[Array, " points"] = X) -> Float[Array, "points 2"]:
    """|f(x)|, the absolute values, because training finds radii up to their sign."""
    return jnp.abs(jax.vmap(params.predictor)(x))


def radii_rmse(params: horn.Params) -> Float[Array, ""]:
    """Root mean square error of both radii over x in [0, 1], in units of y."""
    return jnp.sqrt(jnp.mean((radii(params) - problems.horn_radii(X)) ** 2))


def is_dead(params: horn.Params, free: Float[Array, ""]) -> Array:
    """Whether training has failed: F_inf is far above the noise, or a radius does not change enough with x."""
    span = jnp.ptp(radii(params), axis=0) / jnp.ptp(problems.horn_radii(X), axis=0)
    return (free > 8 * problems.NOISE_FLOOR) | (span < 0.5).any() | ~jnp.isfinite(free)


def manifold(params: horn.Params) -> Float[Array, "points angles 2"]:
    """Points of the surface over x = [0 : 1/50 : 1] and z = [0 : π/24 : 2π]; the last angle repeats the first."""
    angles = jnp.append(ANGLES.points, 2 * jnp.pi)
    return jax.vmap(lambda x: jax.vmap(lambda z: horn.decode(params, x, z))(angles))(X)
