"""Helper of `phase_diagram`: curves and their errors over the temperature from one density of states."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.marginalize.density_of_states import multicanonical, thermal, wang_landau
from ebmjax.marginalize.density_of_states.models import Model
from ebmjax.marginalize.density_of_states.walkers import begun
from ebmjax.types import describe
from experiments.application.report import Report
from experiments.application.shown import scan_shown
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
    start_key, learn_key = jax.random.split(learn_key)
    title = f"{name}: {config.walkers} walkers"

    def learning_sweep(state, key, levels):
        state, _ = wang_landau.learning(model, levels).step(key, state)
        return state, state.factor

    def counting_sweep(state, key, weights):
        state, _ = multicanonical.counting(model, weights, observe).step(key, state)
        return state, jnp.sum(state.trips) / (2 * config.walkers)

    begin = lambda key, levels: wang_landau.learning(model, levels).init(begun(key, model, config.walkers))
    state = report.compiled(begin, start_key, levels)
    keys = jax.random.split(learn_key, config.learning)
    factor = lambda done, factors: f"factor {factors[-1]:.2g}"
    travelled = lambda done, numbers: f"{numbers[-1]:.1f} trips of a walker to either end"
    state, _ = scan_shown(report, f"{title}, weights", learning_sweep, state, keys, levels, tell=factor)
    weights = wang_landau.learned(levels, state)

    first_key, key = jax.random.split(key)
    keys = jax.random.split(first_key, max(1, config.sweeps // 10))
    state = multicanonical.counting(model, weights, observe).init(weights.walkers)
    state, _ = scan_shown(report, f"{title}, first sweeps", counting_sweep, state, keys, weights)
    keys = jax.random.split(key, config.sweeps)
    state = multicanonical.recounted(state)
    state, _ = scan_shown(report, f"{title}, density of states", counting_sweep, state, keys, weights, tell=travelled)
    found = jax.tree.map(np.asarray, multicanonical.counted(model, weights, state))
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
