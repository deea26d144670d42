"""A program of a user, which `.ci/wheel` checks with pyright and runs, both beside the installed wheel alone.

Pyright takes types from an installed package only if it says `py.typed`. `assert_type` fails where a type is another
one, and also where it is unknown.
"""

from functools import partial
from typing import assert_type

import jax
import jax.numpy as jnp
import optax

import ebmjax as ebm
from ebmjax.energies import ellipse
from ebmjax.learn.train import Trained
from ebmjax.loops import Run
from ebmjax.types import Kernel, Learner, Solution, Space

space = ebm.circle(24)
assert_type(space, Space)
params = ellipse.Params(jnp.array([2.0, 1.5]))
energy = partial(ellipse.energy, params, jnp.array([1.0, 0.5]))

free = ebm.free_energy(energy, space, beta=2.0)
assert_type(free, jax.Array)
assert_type(ebm.posterior(energy, space, jnp.inf), jax.Array)
assert_type(ebm.softmin([1.0, 2.0], 0.0), jax.Array)

found = ebm.refined_search(energy, space)
assert_type(found, Solution)
assert_type(found.energy, jax.Array)

kernel = ebm.metropolis(energy, 2.0, lambda key, z: z + jax.random.normal(key))
assert_type(kernel, Kernel)
run = ebm.trajectory(jax.random.key(0), kernel, 0.0, 10)
assert_type(run, Run)

loss = ebm.losses.energy.energy_loss(lambda params, y: ebm.free_energy(partial(ellipse.energy, params, y), space, 2.0))
learner = ebm.gradient(loss, optax.sgd(0.1))
assert_type(learner, Learner)
trained = ebm.train(jax.random.key(1), learner, params, ebm.problems.ellipse_data(jax.random.key(2)), 24, 2)
assert_type(trained, Trained)

assert_type(ebm.__version__, str)
if not float(found.energy) <= float(free):
    raise SystemExit("the least energy is above the free energy")
print(f"ebmjax {ebm.__version__}: least energy {found.energy:.3f}, free energy at beta = 2 {free:.3f}")
