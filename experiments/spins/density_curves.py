"""Helper of `phase_diagram`: curves and their errors over the temperature from one density of states."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.marginalize.density_of_states import multicanonical, thermal
from ebmjax.marginalize.density_of_states.models import Model
from ebmjax.marginalize.density_of_states.wang_landau import wang_landau
from ebmjax.types import describe
from experiments.application.report import Report
from experiments.spins.exact_curves import Curves, curves


class Diagram(NamedTuple):
    """Measured curves, their standard errors, and the exact ones."""

    betas: np.ndarray
    values: Curves
    errors: Curves
    truth: Curves | None


def density(
    config: Any,
    report: Report,
    key: jax.Array,
    model: Model,
    levels: np.ndarray,
    name: str,
    observe: multicanonical.ObserveState | None = None,
) -> multicanonical.Density:
    """The density of states of a lattice, with the options `walkers`, `learning` and `sweeps` of the experiment."""
    learn_key, key = jax.random.split(key)
    learn = lambda key, levels: wang_landau(key, model, levels, config.walkers, config.learning)
    run = lambda key, weights: multicanonical.multicanonical(key, model, weights, config.sweeps, observe)
    title = f"{name}: density of states, {config.walkers} walkers"
    learning = report.program(learn, learn_key, levels)
    running = report.program(run, key, jax.eval_shape(learn, learn_key, levels))
    with report.bar(title, config.learning + config.sweeps) as move:
        weights = jax.block_until_ready(learning(learn_key, levels))
        move(config.learning, "weights are learned")
        found = jax.tree.map(np.asarray, running(key, weights))
        move(config.sweeps, f"flatness {found.flatness:.2g}")
    trips = found.trips.mean(axis=0)
    report.progress(f"{name}: {describe(int(found.result))}; {trips[0]:.1f} and {trips[1]:.1f} trips of a walker")
    return found


def of_density(density: multicanonical.Density, betas: np.ndarray, units: int, log_states: float) -> Diagram:
    """Curves and errors at all betas; errors of F and S by those of log Z and U."""
    axis = jax.tree.map(np.asarray, jax.vmap(lambda beta: thermal.at(density, beta))(jnp.asarray(betas, jnp.float32)))
    variance = axis.heat_capacity / np.where(betas == 0, 1, betas) ** 2
    values = curves(betas, units, axis.log_partition, axis.mean_energy, variance, log_states)
    zero = betas == 0
    errors = Curves(
        np.where(zero, axis.mean_energy_error, axis.log_partition_error / np.where(zero, 1, np.abs(betas))) / units,
        axis.mean_energy_error / units,
        axis.heat_capacity_error / units,
        # log Z and beta U are correlated; the sum of both errors is a bound
        (axis.log_partition_error + np.abs(betas) * axis.mean_energy_error) / units,
    )
    return Diagram(betas, values, errors, None)
