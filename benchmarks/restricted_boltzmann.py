"""Part of the group `spins`: training of a restricted Boltzmann machine. The unit of work is one update."""

import importlib
import importlib.util
from functools import cache, partial
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import pictures
from benchmarks.runner import WIDE, Case, Outcome, Side
from ebmjax import random_bits, train
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast import phases
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.sample.special.restricted import binary


def case(quick: bool) -> Case:
    """CD-1 on 60,000 pictures, timed over a short epoch and compared after five full epochs."""
    count, hidden, epochs, timed = (2000, 32, 2, 500) if quick else (60_000, 500, 5, 6000)
    batch, rate = 100, 0.05
    # In nats. The sides have other random numbers, and scikit-learn other chains; the difference is largest early.
    margins = {"": 0.0, "torch": 2.0, "sklearn": 16.0} if not quick else {"": 0.0, "torch": 10.0, "sklearn": 150.0}
    data = cache(lambda: pictures.load(count))
    score = lambda params: pictures.pseudo_likelihood(params, data()[:5000])
    weights = np.random.default_rng(8).normal(0, 0.01, (784, hidden)).astype(np.float32)
    first = rbm.Params(jnp.asarray(weights), jnp.zeros(784), jnp.zeros(hidden))

    def side(fit, package="", made="", name=""):
        """`fit(pictures, epochs)` is called once with all epochs for the objective, and timed over one short epoch."""

        def prepare():
            fit(data()[:timed], 1)

            @cache
            def outcome():
                value = score(fit(data(), epochs))
                return Outcome((value, margins[package]), value)

            def call():
                known = outcome()
                fit(data()[:timed], 1)
                return known

            return call

        return Side(prepare, made, timed // batch, name)

    negative = phases.contrastive_divergence(
        lambda params: binary(params, 1.0), lambda key, v: (v, jnp.zeros(hidden)), steps=1
    )
    # hidden units enter as their means, as they do in the peers
    learner = contrastive(
        lambda params, position: rbm.energy(params, *position),
        phases.viewed(phases.observed(), lambda params, v: rbm.with_hidden_means(params, v, 1.0)),
        phases.viewed(negative, lambda params, position: rbm.with_hidden_means(params, position[0], 1.0)),
        optax.sgd(rate),
    )

    @partial(jax.jit, static_argnums=3, compiler_options=WIDE)
    def learned(key, first, images, epochs):
        return train(key, learner, first, images, batch, epochs).params

    ours = lambda images, epochs: jax.block_until_ready(
        learned(random_bits.unrolled(jax.random.key(9)), first, images, epochs)
    )

    peers, missing = {}, tuple(name for name in ("sklearn", "torch") if not importlib.util.find_spec(name))
    if "sklearn" not in missing:
        module = importlib.import_module("benchmarks.peers.sklearn_rbm")
        for dtype in ("float32", "float64"):
            fit = lambda images, epochs, dtype=dtype: module.fit(images.astype(dtype), hidden, rate, epochs, batch)
            peers[f"sklearn:{dtype}"] = side(fit, "sklearn", version("scikit-learn"), f"scikit-learn, {dtype}")
    if "torch" not in missing:
        torch_rbm = importlib.import_module("benchmarks.peers.torch_rbm")
        peers["torch"] = side(partial(torch_rbm.fit, first, rate, batch), "torch", version("torch"))

    def agree(ours, peer):
        (mine, _), (other, margin) = ours.result, peer.result
        assert abs(mine - other) < margin, f"pseudo-likelihoods {mine} and {other}"

    note = (
        f"batch {batch}; {pictures.source()}; objective: log pseudo-likelihood in nats after {epochs} epochs of "
        f"{count:,}, equal within {margins['torch']:g} (torch) and {margins['sklearn']:g} (scikit-learn, whose "
        "chains are persistent)"
    )
    name = f"RBM 784 x {hidden}, CD-1"
    return Case(name, "update", side(ours), peers, agree, note, missing)
