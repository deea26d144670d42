"""Runs over many devices, whose results the tests compare bit by bit.

    python -m tests.sharded_runs FILE DEVICES [PROCESS PROCESSES PORT]

writes the results on so many devices of this process, or on one device of each of several processes.
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ebmjax as ebm
from ebmjax import random_bits, sharding
from ebmjax.energies import ellipse
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import observed, persistent, viewed
from ebmjax.loops import repeat, trajectory
from ebmjax.sample import hamiltonian
from ebmjax.sample.special import multispin, multispin_halo, restricted

MEMBERS, CHUNK = 64, 8


def shared(visible, hidden):
    """A machine that all members have."""
    weights = jax.random.normal(jax.random.key(3), (visible, hidden)) / 4
    return rbm.Params(weights, jnp.zeros(visible), jnp.zeros(hidden))


def chain(key):
    """Draws by Hamiltonian Monte Carlo."""
    kernel = hamiltonian.hamiltonian(lambda x: jnp.sum(x**4) - jnp.sum(x), 2.0, 0.1, 5)
    return trajectory(key, kernel, jnp.zeros(3), 20).positions


def fields(key):
    """What the hidden units of a machine get from real numbers, which shows how a product over members is rounded."""
    return rbm.hidden_field(shared(300, 200), jax.random.normal(key, (300,)))


def fit(member):
    """A whole training run at one beta."""
    key, beta = member
    y = ebm.problems.ellipse_data(jax.random.key(0))
    energy = lambda params, y: ebm.free_energy(partial(ellipse.energy, params, y), ebm.circle(16), beta)
    learner = ebm.gradient(ebm.losses.energy.energy_loss(energy), optax.adam(0.03))
    return ebm.train(key, learner, ellipse.init(key), y, batch_size=8, epochs=4).params.radii


def lattice(devices):
    """Sweeps of one lattice of which each device has a part, with both signs of the coupling and both generators."""
    ends = []
    for coupling, bits in ((1.0, random_bits.bits_at), (-1.0, random_bits.hashed_at)):
        start = multispin.pack_lattice(jax.random.rademacher(jax.random.key(6), (64 * 8, 6), jnp.float32))
        kernel = multispin_halo.lattice(coupling, 0.42, devices, bits)
        ends.append(repeat(jax.random.key(7), kernel, kernel.init(start), 5).positions)
    return ends


def runs(devices: Any) -> dict[str, Any]:
    """What each of them finds, and a training whose samples lie on the devices: its gradients are sums over them."""
    keys = sharding.shard(jax.random.split(jax.random.key(1), MEMBERS), devices)
    spread = lambda function, members: sharding.map_over(function, members, devices, CHUNK)
    found = {
        "chain": spread(chain, keys),
        "fields": spread(fields, keys),
        "fit": spread(fit, (keys, sharding.shard(jnp.geomspace(0.1, 10, MEMBERS), devices))),
        "vmapped": jax.jit(jax.vmap(chain))(keys),
        "lattice": lattice(devices),
        "data parallel": learned(devices),
    }
    return jax.tree.map(np.asarray, sharding.gather(found))


def learned(devices: Any) -> Any:
    """The parameters of a machine of which each device holds a part of the samples and of the chains."""
    samples = jax.random.bernoulli(jax.random.key(4), 0.3, (64, 40)).astype(jnp.float32)
    kernel = lambda params: restricted.binary(params, 1.0)
    start = lambda key: (jnp.zeros(40), jnp.zeros(24))
    learner = contrastive(
        lambda params, v: rbm.free_energy(params, v, 1.0),
        observed(),
        viewed(persistent(kernel, start, 16, 1), lambda params, units: units[0]),
        optax.sgd(0.05),
    )
    params, data = sharding.replicate(shared(40, 24), devices), sharding.shard(samples, devices)
    return ebm.train(jax.random.key(5), learner, params, data, batch_size=16, epochs=3).params


def main(file: str, devices: str, process: str = "0", processes: str = "1", port: str = "0") -> None:
    """Write the results; with several processes, the first one writes."""
    if int(processes) > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", int(processes), int(process))
    found = runs(sharding.line(jax.devices()[: int(devices)]))
    if process == "0":
        leaves = jax.tree_util.tree_flatten_with_path(found)[0]
        np.savez(file, **{jax.tree_util.keystr(path): leaf for path, leaf in leaves})


if __name__ == "__main__":
    main(*sys.argv[1:])
