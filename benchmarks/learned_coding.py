"""Part of the group `sparse`: training of LISTA with 16 layers. The unit of work is one update of Adam."""

import importlib
import importlib.util
from functools import cache, partial
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.runner import WIDE, Case, Outcome, Side
from ebmjax import gradient
from ebmjax.energies import sparse_coding
from ebmjax.losses import inferred_codes
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.unrolled import lista
from ebmjax.minimize.unrolled.unroll import per_layer

RATE = 1e-3
AGREEMENT = {False: 1e-4, True: 1e-3}
"""Largest relative difference of the compared losses, for shared weights and for weights of each layer.

Two correct float32 programs differ by rounding, since they sum in other orders, and the updates of Adam amplify this:
an update has nearly the same size however small the gradient is. Measured on our side against float64, with the axes
of the problem permuted in eight ways, which changes nothing but the orders of sums: up to 2e-5 with shared weights,
up to 2.5e-4 with weights of each layer. Two programs can differ by twice that; the bounds are twice as large again.
Real differences are larger: 5e-3 for a learning rate that is 1% too large, 5e-2 for batches in another order, 8e-2 for
one update too few.
"""


def cases(quick: bool) -> list[Case]:
    """Weights that are shared by all layers, and weights of each layer."""
    return [_case(quick, own=False), _case(quick, own=True)]


def _case(quick: bool, own: bool) -> Case:
    observed, atoms, layers, batch, updates = (10, 20, 4, 8, 4) if quick else (250, 500, 16, 64, 8)
    random = np.random.default_rng(0)
    dictionary = random.normal(size=(observed, atoms))
    dictionary = (dictionary / np.linalg.norm(dictionary, axis=0)).astype(np.float32)
    samples = batch * updates
    codes = (random.normal(size=(samples, atoms)) * (random.random((samples, atoms)) < 0.1)).astype(np.float32)
    data = (codes @ dictionary.T, codes)
    bound = float(np.linalg.norm(dictionary, 2) ** 2)
    first = lista.init_lista(sparse_coding.Params(jnp.asarray(dictionary)), 0.1, bound)
    first = per_layer(first, layers) if own else first

    loss = energy_loss(inferred_codes.supervised(lambda weights, y: lista.lista(weights, y, layers).last))
    learner = gradient(loss, optax.adam(RATE))

    @partial(jax.jit, compiler_options=WIDE)
    def run(state, data):
        batches = jax.tree.map(lambda leaf: leaf.reshape(updates, batch, -1), data)
        # the learner draws no random number
        update = lambda state, rows: learner.update(jax.random.key(0), state, rows)
        state, metrics = jax.lax.scan(update, state, batches)
        return state, metrics.loss[-1]

    def ours():
        state, value = jax.block_until_ready(run(learner.init(jax.random.key(0), first), data))
        outcome = Outcome(float(value), float(value))
        again = [state]

        def call():
            again[0] = jax.block_until_ready(run(again[0], data)[0])
            return outcome

        return call

    peers, missing = {}, ("torch",)
    if importlib.util.find_spec("torch"):
        peer, missing = importlib.import_module("benchmarks.peers.torch_lista"), ()

        def theirs(compiled):
            go_on = peer.trainer(tuple(np.asarray(leaf) for leaf in first), layers, RATE, batch, *data, compiled)
            value = go_on()  # the first updates, from the same weights as ours: what is compared

            def call():
                go_on()
                return Outcome(value, value)

            return call

        side = lambda compiled, name: Side(cache(partial(theirs, compiled)), version("torch"), updates, name)
        peers["torch:eager"] = side(False, "torch, eager, fused Adam")
        if not quick and peer.can_compile():
            peers["torch:compiled"] = side(True, "torch.compile, fused Adam")

    def agree(ours, peer):
        np.testing.assert_allclose(peer.result, ours.result, rtol=AGREEMENT[own])

    note = (
        f"m = {observed}, n = {atoms}, batch {batch}, float32; objective: loss at update {updates} from equal weights, "
        f"equal within {AGREEMENT[own]:g}"
    )
    name = f"LISTA, {layers} layers, weights {'of their own' if own else 'shared'}"
    return Case(name, "update", Side(ours, per_call=updates), peers, agree, note, missing)
