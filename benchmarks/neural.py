"""The group `neural`: training of a variational autoencoder, and random walks of many chains."""

import importlib
import importlib.util
from functools import cache, partial
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import pictures
from benchmarks.runner import WIDE, Case, Outcome, Side, compiled
from ebmjax import random_bits, train
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.loops import repeat
from ebmjax.losses.evidence_bound import evidence_bound
from ebmjax.sample.special.many_walks import random_walk

BATCH, RATE, EPSILON = 100, 1e-3, 1e-4


def cases(quick: bool) -> list[Case]:
    """Training of an autoencoder, then random walks in 2 and in 10 dimensions."""
    return [_autoencoder(quick), _walk(quick, 2), _walk(quick, 10)]


def _autoencoder(quick: bool) -> Case:
    """Each call is one further pass over the pictures. Sides are compared by the mean loss of an early pass."""
    count, hidden, latent, judged = (1000, (16,), 4, 1) if quick else (12_000, (200, 200), 50, 8)
    margin = 20.0 if quick else 5.0  # nats; seeds differ by up to 3 at this stage
    data = cache(lambda: pictures.load(count))
    first = vae.init(jax.random.key(0), 784, hidden, latent, jnp.tanh)
    observation = vae.bernoulli()
    loss = evidence_bound(lambda params, y, z: vae.misfit(params, observation, y, z), vae.encode)
    learner = stochastic_gradient(loss, optax.adam(RATE, eps=EPSILON))

    @partial(jax.jit, compiler_options=WIDE)
    def epoch(key, params, moments, images):
        resumed = learner._replace(init=lambda key, params: learner.init(key, params)._replace(optimizer=moments))
        trained = train(key, resumed, params, images, BATCH, 1)
        return trained.params, trained.state.optimizer, trained.metrics.learner.loss.mean()

    def side(trainer, made="", name=""):
        """`trainer()` prepares, and returns a callable that trains for one more pass and returns its mean loss."""

        def prepare():
            go_on = trainer()
            value = [go_on() for _ in range(judged)][-1]

            def call():
                go_on()
                return Outcome(value, value)

            return call

        return Side(prepare, made, count // BATCH, name)

    def ours():
        state = [first, learner.init(jax.random.key(0), first).optimizer]
        keys = iter(random_bits.unrolled(jax.random.split(jax.random.key(1), 1000)))
        images = jnp.asarray(data())

        def go_on():
            *state[:], value = jax.block_until_ready(epoch(next(keys), *state, images))
            return float(value)

        return go_on

    peers, missing = {}, ("torch",)
    if importlib.util.find_spec("torch"):
        peer, missing = importlib.import_module("benchmarks.peers.torch_vae"), ()
        layers = lambda network: [(np.asarray(layer.kernel), np.asarray(layer.bias)) for layer in network.layers]

        def theirs(compiled):
            networks = layers(first.encoder), layers(first.decoder)
            return peer.trainer(*networks, RATE, EPSILON, BATCH, latent, data(), compiled)

        peers["torch:eager"] = side(partial(theirs, False), version("torch"), "torch, eager, fused Adam")
        if not quick and importlib.import_module("benchmarks.peers.torch_lista").can_compile():
            peers["torch:compiled"] = side(partial(theirs, True), version("torch"), "torch.compile, fused Adam")

    def agree(ours, peer):
        assert abs(ours.result - peer.result) < margin, f"bounds {ours.result} and {peer.result}"

    layers_of = " x ".join(map(str, (784, *hidden, latent)))
    note = (
        f"batch {BATCH}, tanh, Adam; {pictures.source()}, binary; objective: mean bound in pass {judged} over "
        f"{count:,} pictures, equal within {margin:g} nats"
    )
    return Case(f"VAE {layers_of}", "update", side(ours), peers, agree, note, missing)


def _walk(quick: bool, size: int) -> Case:
    """Chains of a standard normal law that start at the origin. The unit of work is one step of one chain."""
    chains, steps = (256, 50) if quick else (4096, 1000)
    scale = 2.4 / size**0.5
    energy = lambda x: jnp.sum(x**2) / 2
    start = jnp.zeros((chains, size))

    def side(run, start, made="", name=""):
        def prepare():
            call = compiled(run, (jax.random.key(0), start), WIDE)

            def timed():
                mean_square = float(jnp.mean(call() ** 2))
                return Outcome(mean_square, mean_square)

            return timed

        return Side(prepare, made, chains * steps, name)

    def ours(key, start):
        kernel = random_walk(energy, 1.0, scale)
        return repeat(key, kernel, kernel.init(start), steps).positions

    peers, missing = {}, ("blackjax",)
    if importlib.util.find_spec("blackjax"):
        peer, missing = importlib.import_module("benchmarks.peers.blackjax_walk"), ()
        log_density = lambda x: -energy(x)
        rmh, additive = peer.rmh(log_density, scale), peer.additive(log_density, scale, size)
        made = version("blackjax")
        peers["blackjax"] = side(peer.positions_after(rmh, steps), start, made, "blackjax.rmh")
        peers["blackjax:additive"] = side(
            peer.positions_after(additive, steps), start, made, "blackjax, additive random walk"
        )

    # 6 standard errors of a mean of chains · size squares of standard normal numbers: fails 2 times in 10^9 by chance
    margin = 6 * (2 / (chains * size)) ** 0.5

    def agree(ours, peer):
        for outcome in (ours, peer):
            assert abs(outcome.result - 1) < margin + (0.2 if quick else 0), f"mean square {outcome.result}, not 1"

    note = (
        f"{chains} chains x {steps} steps, scale {scale:.2g}; objective: mean square of the last positions, exactly 1"
    )
    name = f"random walk, D = {size}"
    return Case(name, "step of a chain", side(ours, start.T), peers, agree, note, missing)
