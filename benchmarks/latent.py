"""The group `latent`: free energies at many temperatures, horn training, random bits."""

import importlib
import importlib.util
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.runner import WIDE, Case, Outcome, Side, compiled
from ebmjax import circle, free_energy, gradient, problems, random_bits, train
from ebmjax.energies import ellipse, horn
from ebmjax.loops import map_chunks
from ebmjax.losses.energy import energy_loss


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    return [
        _free_energy(quick, WIDE, "free energy"),
        _free_energy(quick, None, "free energy, default compiler options"),
        _betas(),
        _training(quick, 1, "horn training"),
        _training(quick, 8 if quick else 256, "horn training, 256 models"),
        _bits(2**16 if quick else 2**22, "random bits, 2^22 draws"),
        _bits(2**16, "random bits, 2^16 draws"),
    ]


def _peers(*names):
    """Those of the packages that are installed, and those that are not."""
    here = [name for name in names if importlib.util.find_spec(name)]
    return here, tuple(name for name in names if name not in here)


def _free_energy(quick, options, name):
    samples, temperatures, angles = (2000, 8, 96) if quick else (40_000, 64, 96)
    key = jax.random.key(0)
    y = np.asarray(2 * jax.random.normal(key, (samples, 2)))
    betas = np.geomspace(0.01, 100, temperatures).astype(np.float32)
    params = ellipse.Params(jnp.array([2.0, 1.5]))
    space = circle(angles)
    points = np.asarray(jax.vmap(partial(ellipse.decode, params))(space.points))

    def sweep(y, betas):
        of_one = lambda y: jax.vmap(lambda beta: free_energy(partial(ellipse.energy, params, y), space, beta))(betas)
        return map_chunks(of_one, y, 16)

    arguments = (jnp.asarray(y), jnp.asarray(betas))
    memory: Any = jax.jit(sweep, compiler_options=options).lower(*arguments).compile().memory_analysis()
    peak = (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 1e6

    def ours():
        call = compiled(sweep, arguments, options)
        return lambda: _mean(call())

    here, missing = _peers("torch", "scipy")
    peers = {}
    for package in here:
        module = importlib.import_module(f"benchmarks.peers.{package}_latent")
        chunks = {"torch": (100, 500, samples), "scipy": (100,)}[package]
        for chunk in chunks:
            prepare = lambda module=module, chunk=chunk: lambda: _mean(module.free_energy(y, points, betas, chunk).T)
            label = f"{package}, {chunk} samples at a time"
            peers[f"{package}:{chunk}"] = Side(prepare, version(package), name=label)

    def agree(ours, peer):
        # a float32 logsumexp divided by beta = 0.01 has an error of 1e-4 in the units of y
        np.testing.assert_allclose(ours.result, peer.result, rtol=2e-5, atol=2e-4)

    how = f"compiler options {options}" if options else "default compiler options"
    note = f"{samples:,} y, {temperatures} betas, {angles} angles; {how}; {peak:.0f} MB besides the inputs"
    return Case(name, "sweep", Side(ours), peers, agree, note, missing)


def _mean(values):
    values = np.asarray(values)
    return Outcome(values, float(values.mean(dtype=np.float64)))


def _betas():
    """32 temperatures in one vmapped call, and in a Python loop over a jitted call."""
    y = 2 * jax.random.normal(jax.random.key(0), (100, 2))
    betas = jnp.geomspace(0.01, 100, 32)
    params = ellipse.Params(jnp.array([2.0, 1.5]))
    at = lambda beta, y: jax.vmap(lambda y: free_energy(partial(ellipse.energy, params, y), circle(48), beta))(y)
    one = jax.jit(at)

    def ours():
        call = compiled(jax.vmap(at, (0, None)), (betas, y))
        return lambda: _mean(call())

    def loop():
        return lambda: _mean(np.stack([np.asarray(one(beta, y)) for beta in betas]))

    agree = lambda ours, peer: np.testing.assert_allclose(ours.result, peer.result, rtol=1e-5, atol=1e-6)
    return Case("32 temperatures of 100 samples in one call", "sweep", Side(ours), {"python-loop": Side(loop)}, agree)


def _training(quick, models, name):
    data = problems.horn_data(jax.random.key(7), 400)
    batch_size, epochs = 32, (5 if quick else 400 if models == 1 else 40)
    updates = epochs * (len(data.x) // batch_size)
    space = circle(48)
    cold = lambda params, sample: free_energy(partial(horn.energy, params, *sample), space, jnp.inf)
    loss = energy_loss(cold)

    def fit(key):
        init_key, train_key = jax.random.split(key)
        learner = gradient(loss, optax.adam(1e-2))
        trained = train(train_key, learner, horn.init(init_key), tuple(data), batch_size, epochs)
        return loss(trained.params, tuple(data))

    keys = random_bits.unrolled(jax.random.split(jax.random.key(0), models))

    def ours():
        call = compiled(jax.vmap(fit), (keys,))
        return lambda: Outcome(None, float(np.median(call())))

    initial = horn.init(jax.random.split(keys[0])[0]).predictor
    layers = (initial.first, initial.second, initial.last)
    weights = [np.asarray(part) for layer in layers for part in (layer.kernel, layer.bias)]
    here, missing = _peers("torch")
    peers = {}
    if here:
        module = importlib.import_module("benchmarks.peers.torch_latent")
        steps = min(updates, 60 if quick else 1200)

        def torch_side(detached):
            run = partial(module.train_horn, weights, np.asarray(data.x), np.asarray(data.y), batch_size)
            # A part of the steps is timed. The objective is that of a run as long as ours.
            final = run(updates, 1e-2, detached)
            return lambda: (run(steps, 1e-2, detached), Outcome(None, final))[1]

        for label, detached in (("torch", False), ("torch:search", True)):
            title = "torch, search without gradient" if detached else "torch"
            side = partial(torch_side, detached)
            peers[label] = Side(side, version("torch"), steps, title)

    def agree(ours, peer):
        # The batches differ, so the final losses differ like those of two seeds. Both are small after learning.
        assert 1 / 3 < ours.objective / peer.objective < 3, f"losses {ours.objective} and {peer.objective}"

    note = f"400 samples, batch {batch_size}, {updates} updates of {models} model(s); torch trains one model"
    return Case(name, "model-step", Side(ours, per_call=updates * models), peers, agree, note, missing)


def _bits(draws, name):
    key = jax.random.key(3)

    def side(draw):
        def prepare():
            call = compiled(draw, (key,))
            return lambda: Outcome(call(), float(draws))

        return Side(prepare, version("jax"), draws)

    default = side(lambda key: jax.random.bits(key, (draws,)))
    agree = lambda ours, peer: np.testing.assert_array_equal(ours.result, peer.result)
    ours = side(lambda key: random_bits.bits(key, (draws,)))
    note = "the same bits; this row is not recorded, since the peer is jax itself"
    return Case(name, "draw", ours, {"jax.random.bits": default}, agree, note)
