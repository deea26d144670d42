"""Annealed importance sampling of restricted Boltzmann machines, for the group `free_energy`."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import numpy_annealing
from benchmarks.runner import WIDE, Case, Outcome, Side
from ebmjax import random_bits
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.likelihoods import paths, restricted


def cases(quick: bool) -> list[Case]:
    """A small and a large machine."""
    return [_case(quick, hidden) for hidden in (20, 500)]


def _case(quick, hidden):
    """log Z from 100 chains; both sides draw the same number of units and weigh the same laws."""
    visible, temperatures, chains = (30, 50, 20) if quick else (784, 1000, 100)
    random = np.random.default_rng(0)
    # fields of both layers of a few units, as in trained machines
    numbers = (
        random.normal(size=(visible, hidden)) * 4 / math.sqrt(visible + hidden),
        random.normal(size=visible) - 2,
        random.normal(size=hidden) - 1,
    )
    weights, visible_bias, hidden_bias = (array.astype(np.float32) for array in numbers)
    params = rbm.Params(*(jnp.asarray(array) for array in (weights, visible_bias, hidden_bias)))
    volume = float(np.logaddexp(0, visible_bias.astype(np.float64)).sum() + hidden * math.log(2))

    def ours():
        def run(key, params):
            path = restricted.path(params, 1.0, params.visible_bias)
            return paths.forward(key, path, jnp.linspace(0, 1, temperatures), chains)

        key = random_bits.key(0)
        executable = jax.jit(run, compiler_options=WIDE).lower(key, params).compile()

        def call():
            found = jax.block_until_ready(executable(key, params))
            return Outcome((float(found.log_partition), float(found.standard_error)), float(found.log_partition))

        return call

    def numpy_side(log_weights):
        def call():
            logs = log_weights(0, weights, visible_bias, hidden_bias, visible_bias, temperatures, chains)
            shares = np.exp(logs - logs.max())
            value = volume + logs.max() + math.log(shares.mean())
            error = math.sqrt(shares.var(ddof=1) / chains) / shares.mean()
            return Outcome((value, error), value)

        return call

    def agree(ours, peer):
        (mine, error), (other, other_error) = ours.result, peer.result
        assert abs(mine - other) < 5 * math.hypot(error, other_error), f"log Z {mine} and {other}"

    note = f"{temperatures:,} laws, {chains} chains; objective: log Z, equal within 5 standard errors"
    name = f"AIS of an RBM {visible} x {hidden}"
    side = lambda run, title: Side(lambda: numpy_side(run), np.__version__, temperatures, title)
    peers = {
        "numpy:tuned": side(numpy_annealing.log_weights, "NumPy, float32, tuned"),
        "numpy:textbook": side(numpy_annealing.textbook_log_weights, "NumPy, float32, as in textbooks"),
    }
    return Case(name, "law", Side(ours, per_call=temperatures), peers, agree, note)
