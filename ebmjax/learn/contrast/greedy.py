"""Greedy pretraining: a deep Boltzmann machine put together from restricted ones, trained one upon the other.

Inside a deep machine a layer hears its neighbours on both sides, in a restricted one it hears only one. Each restricted
machine is therefore trained with two copies of the side that will be heard double, which share their weights: the
bottom one of its visible side, the top one of its hidden side, those in between of both, which is the same as training
twice the weights and halving them. A hidden layer then has two machines that each tell its field in full; the deep
machine takes the mean of the two,

    ½ (b + 2 Wᵀ s_below) + ½ (c + 2 W s_above)

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", section 3.1.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, check_beta
from ebmjax.energies import deep_boltzmann
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, observed
from ebmjax.learn.train import train
from ebmjax.sample.gibbs import alternate, draw
from ebmjax.temperature import reduced
from ebmjax.types import BITS, Beta, Kernel, Learner


class Copies(NamedTuple):
    """How often each side of a restricted machine stands there."""

    visible: int
    hidden: int


def pretrain(
    key: Key[Array, ""],
    data: Float[Array, "samples visible"],
    sizes: Sequence[int],
    learner_of_layer: Callable[[Copies], Learner],
    batch_size: int,
    epochs: int,
    beta: Beta = 1.0,
) -> deep_boltzmann.Params:
    """Train one restricted machine for each pair of layers, from the bottom up, and put them together.

    The lowest sees the data, each other one the hidden means of the one below, given the data.

    Args:
        key: typed random key.
        data: visible units, in [0, 1].
        sizes: of the hidden layers, from the lowest up.
        learner_of_layer: `copies -> Learner` of `restricted_boltzmann.Params` on batches of visible units that are
            repeated `copies.visible` times, such as `partial(copied_machine, optimizer=...)`.
        batch_size: samples an update.
        epochs: passes over the data, for each layer.
        beta: inverse temperature in [0, inf].

    Raises:
        ValueError: no hidden layer, or an empty one; what `train` refuses; a bad beta.

    >>> learner_of_layer = lambda copies: copied_machine(copies, optax.sgd(0.1))
    >>> params = pretrain(jax.random.key(0), jnp.ones((8, 3)), (4, 2), learner_of_layer, batch_size=4, epochs=2)
    >>> [weights.shape for weights in params.weights]
    [(3, 4), (4, 2)]
    """
    check_beta(beta)
    if not sizes or min(sizes) < 1:
        raise ArgumentError(f"sizes: got {tuple(sizes)}, wanted at least one hidden layer, each of at least one unit")
    machines = []
    for level, (size, layer_key) in enumerate(zip(sizes, jax.random.split(key, len(sizes)), strict=True)):
        copies = copies_of(level, len(sizes))
        init_key, train_key = jax.random.split(layer_key)
        params = rbm.init(init_key, data.mean(axis=0), size)
        seen = jnp.tile(data, (1, copies.visible))
        trained = train(train_key, learner_of_layer(copies), params, seen, batch_size, epochs)
        machines.append(trained.params)
        data = hidden_means(trained.params, copies, data, beta)
    return compose(machines)


def copied_machine(
    copies: Copies, optimizer: optax.GradientTransformation, steps: int = 1, beta: Beta = 1.0
) -> Learner:
    """A learner of one restricted machine with copied sides, by CD-k on the free energy of its visible units.

    Args:
        copies: how often each side stands there.
        optimizer: any optax gradient transformation.
        steps: k, sweeps v → h → v from each sample.
        beta: inverse temperature in [0, inf].

    Raises:
        ValueError: a bad beta, steps below 1.

    >>> learner = copied_machine(Copies(2, 1), optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> state = learner.init(key, rbm.init(key, jnp.full(3, 0.5), 4))
    >>> state, _ = learner.update(key, state, jnp.ones((8, 6)))
    >>> bool((state.params.visible_bias > 0).all())
    True
    """
    check_beta(beta)
    free_energy = lambda params, visible: rbm.free_energy(tied(params, copies), visible, beta)

    def kernel(params: rbm.Params) -> Kernel:
        whole = tied(params, copies)

        def sweep(key, visible):
            hidden_key, visible_key = jax.random.split(key)
            hidden = draw(hidden_key, rbm.hidden_field(whole, visible), beta, BITS)
            return draw(visible_key, rbm.visible_field(whole, hidden), beta, BITS)

        return alternate([sweep])

    negative = contrastive_divergence(kernel, lambda key, visible: visible, steps)
    return contrastive(free_energy, observed(), negative, optimizer)


def copies_of(level: int, machines: int) -> Copies:
    """Which sides of the machine at `level`, counted from the bottom, stand there twice. Of a single one, none.

    In between both would: that machine is trained as it is, and `compose` halves its weights.

    >>> [tuple(copies_of(level, 3)) for level in range(3)]
    [(2, 1), (1, 1), (1, 2)]
    """
    if machines == 1:
        return Copies(1, 1)
    return Copies(2 if level == 0 else 1, 2 if level == machines - 1 else 1)


def tied(params: rbm.Params, copies: Copies) -> rbm.Params:
    """The whole machine, of which `params` holds each copied side once.

    >>> whole = tied(rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), Copies(2, 1))
    >>> whole.weights.shape, whole.visible_bias.shape
    ((6, 2), (6,))
    """
    return rbm.Params(
        jnp.tile(params.weights, copies),
        jnp.tile(params.visible_bias, copies.visible),
        jnp.tile(params.hidden_bias, copies.hidden),
    )


def hidden_means(
    params: rbm.Params, copies: Copies, visible: Float[Array, "samples visible"], beta: Beta = 1.0
) -> Float[Array, "samples hidden"]:
    """P(h = 1 | v) of each hidden unit, all copies of v being the same: what the next machine is trained on.

    >>> hidden_means(rbm.Params(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2)), Copies(2, 1), jnp.ones((1, 3))).tolist()
    [[0.5, 0.5]]
    """
    heard = params._replace(weights=copies.visible * params.weights)
    return jax.nn.sigmoid(reduced(jax.vmap(lambda v: rbm.hidden_field(heard, v))(visible), beta))


def compose(machines: Sequence[rbm.Params]) -> deep_boltzmann.Params:
    """The deep machine of restricted ones, from the bottom up, that were trained with `copies_of` each.

    Raises ValueError where the hidden side of one is not as large as the visible side of the next.

    >>> machine = rbm.Params(jnp.ones((2, 2)), jnp.zeros(2), jnp.full(2, 3.0))
    >>> params = compose([machine] * 3)
    >>> [float(weights[0, 0]) for weights in params.weights], [float(bias[0]) for bias in params.biases]
    ([1.0, 0.5, 1.0], [0.0, 1.5, 1.5, 3.0])
    """
    for level, (below, above) in enumerate(zip(machines, machines[1:], strict=False)):
        hidden, visible = len(below.hidden_bias), len(above.visible_bias)
        if hidden != visible:
            raise ArgumentError(
                f"machines[{level + 1}]: got {visible} visible units, wanted {hidden}, the hidden ones below"
            )
    last = len(machines) - 1
    halved = [machine.weights / 2 if 0 < level < last else machine.weights for level, machine in enumerate(machines)]
    between = [
        (below.hidden_bias + above.visible_bias) / 2 for below, above in zip(machines, machines[1:], strict=False)
    ]
    params = deep_boltzmann.Params(tuple(halved), (machines[0].visible_bias, *between, machines[last].hidden_bias))
    deep_boltzmann.check_params(params)
    return params
