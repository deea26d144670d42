"""thrml's side of `spin_league`: block Gibbs of an Ising model on any graph, as a kernel of ours."""

import importlib
import importlib.util
from importlib.metadata import version
from typing import Any

import jax.numpy as jnp
import numpy as np

from ebmjax.sample.gibbs import State
from ebmjax.types import Kernel
from experiments.samplers.spin_laws import SpinLaw

THRML = "thrml"


def thrml_version() -> str | None:
    """Its version; None where it is not installed."""
    return version("thrml") if importlib.util.find_spec("thrml") else None


def _imported(name: str) -> Any:
    """A module of a package that is optional."""
    return importlib.import_module(name)


def thrml_gibbs(law: SpinLaw, beta: Any) -> Kernel:
    """A kernel of spins whose step is one sweep of thrml, one colour after another."""
    thrml, factors, models = (_imported(name) for name in ("thrml", "thrml.factor", "thrml.models"))
    assert law.coupled is not None
    assert law.colors is not None
    params, graph = law.coupled
    nodes = [thrml.SpinNode() for _ in range(graph.units)]
    members = [np.flatnonzero(law.colors == color) for color in np.unique(law.colors)]
    blocks = [thrml.Block([nodes[unit] for unit in of_color]) for of_color in members]
    # all edges from one colour to the other, so that a block has one group of neighbours
    turned = law.colors[graph.edges[:, 0]] > law.colors[graph.edges[:, 1]]
    ends = np.where(turned[:, None], graph.edges[:, ::-1], graph.edges)
    coupling = jnp.broadcast_to(jnp.asarray(params.coupling, jnp.float32), (len(ends),))
    # the weight of a factor is -beta E
    factor = models.SpinEBMFactor([thrml.Block([nodes[unit] for unit in side]) for side in ends.T], beta * coupling)
    spec, conditionals = thrml.BlockGibbsSpec(blocks, []), [models.SpinGibbsConditional()] * len(blocks)
    program = factors.FactorSamplingProgram(spec, conditionals, [factor], [])
    schedule = thrml.SamplingSchedule(n_warmup=1, n_samples=1, steps_per_sample=1)
    order = np.argsort(np.concatenate(members))

    def step(rng_key, state):
        up = [state.position[of_color] > 0 for of_color in members]
        drawn = [samples[0] for samples in thrml.sample_states(rng_key, program, schedule, up, [], blocks)]
        return State(jnp.where(jnp.concatenate(drawn)[order], 1.0, -1.0)), None

    return Kernel(lambda position, rng_key=None: State(jnp.asarray(position)), step)
