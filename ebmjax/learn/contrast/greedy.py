"""Greedy pretraining: a deep Boltzmann machine made of restricted ones, which are trained one after the other.

A hidden layer of the deep machine gets its field from two neighbours, below and above; in a restricted machine it has
one neighbour only. Each restricted machine is therefore trained with copies of a side, which share their weights. They
double the field of the other side, in place of its missing neighbour:

    restricted machine   copies of its sides          its weights in the deep machine
    bottom               two of the visible side      W
    middle               one of each                  W / 2
    top                  two of the hidden side       W
    the only one         one of each                  W

(Two copies of both sides of a middle machine would be the same as training 2 W and halving it.) Each hidden layer then
has two restricted machines that give it a field, and its field in the deep machine is the mean of the two,

    ½ (b + 2 Wᵀ s_below) + ½ (c + 2 W s_above)

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", section 3.1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, as_beta, as_float, check_callable, check_count, check_key, check_record
from ebmjax.energies import deep_boltzmann
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, observed
from ebmjax.learn.train import Trained, train
from ebmjax.records import record
from ebmjax.sample.gibbs import alternate, draw
from ebmjax.temperature import reduced
from ebmjax.types import BITS, Beta, Kernel, Learner


@record
class Copies(NamedTuple):
    """How many copies of each side a restricted machine has in training."""

    visible: int
    hidden: int


@runtime_checkable
class LearnerOfLayer(Protocol):
    """The learner of one restricted machine, such as `partial(copied_machine, beta=1.0, optimizer=...)`."""

    def __call__(self, copies: Copies, /) -> Learner:
        """A learner of `restricted_boltzmann.Params`, on visible units that are repeated `copies.visible` times."""
        ...


@runtime_checkable
class TrainLayer(Protocol):
    """Trains one restricted machine, such as `ebmjax.train`, or the same with a progress bar."""

    def __call__(
        self, key: Key[Array, ""], learner: Learner, params: rbm.Params, data: Any, batch_size: int, epochs: int, /
    ) -> Trained:
        """Train as `ebmjax.train` does."""
        ...


def pretrain(
    key: Key[Array, ""],
    learner_of_layer: LearnerOfLayer,
    sizes: Sequence[int],
    beta: Beta,
    data: Any,
    batch_size: int,
    epochs: int,
    train_layer: TrainLayer = train,
) -> deep_boltzmann.Params:
    """Train one restricted machine for each pair of layers, from the bottom up, and compose the deep machine of them.

    The bottom machine learns the data. Each machine above learns the hidden means of the one below, given the data.

    Args:
        key: typed random key.
        learner_of_layer: `learner_of_layer(copies) -> Learner` of `restricted_boltzmann.Params`, on batches of visible
            units that are repeated `copies.visible` times, such as `partial(copied_machine, beta=1.0, optimizer=...)`.
        sizes: of the hidden layers, from the bottom up.
        beta: inverse temperature in [0, inf], that of the learners.
        data: visible units, (samples, visible), in [0, 1].
        batch_size: samples an update.
        epochs: passes over the data, for each layer.
        train_layer: how each machine is trained, by default by `ebmjax.train`.

    Raises:
        ValueError: a bad beta, no hidden layer, a layer without a unit, a train_layer that is no function; data,
            batch_size or epochs that `train` refuses.

    >>> learner_of_layer = lambda copies: copied_machine(copies, 1.0, optax.sgd(0.1))
    >>> params = pretrain(jax.random.key(0), learner_of_layer, (4, 2), 1.0, jnp.ones((8, 3)), batch_size=4, epochs=2)
    >>> [weights.shape for weights in params.weights]
    [(3, 4), (4, 2)]
    """
    check_key("key", key)
    check_callable("learner_of_layer", learner_of_layer)
    check_callable("train_layer", train_layer)
    data, beta = as_float("data", data), as_beta(beta)
    if data.ndim != 2 or data.shape[0] == 0:
        raise ArgumentError(f"data: got shape {data.shape}, wanted (samples, visible)")
    if not sizes or min(sizes) < 1:
        raise ArgumentError(f"sizes: got {tuple(sizes)}, wanted at least one hidden layer, each of at least one unit")
    machines = []
    for level, (size, layer_key) in enumerate(zip(sizes, jax.random.split(key, len(sizes)), strict=True)):
        copies = copies_of(level, len(sizes))
        init_key, train_key = jax.random.split(layer_key)
        params = rbm.init(init_key, data.mean(axis=0), size)
        seen = jnp.tile(data, (1, copies.visible))
        trained = train_layer(train_key, learner_of_layer(copies), params, seen, batch_size, epochs)
        machines.append(trained.params)
        data = hidden_means(trained.params, data, beta, copies)
    return compose(machines)


def copied_machine(copies: Copies, beta: Beta, optimizer: optax.GradientTransformation, sweeps: int = 1) -> Learner:
    """A learner of one restricted machine with copied sides, by CD-k on the free energy of its visible units.

    Args:
        copies: how many copies of each side.
        beta: inverse temperature in [0, inf].
        optimizer: any optax gradient transformation.
        sweeps: k, sweeps v → h → v from each sample, at least 1.

    Raises:
        ValueError: a bad beta, sweeps below 1.

    >>> learner = copied_machine(Copies(2, 1), 1.0, optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> state = learner.init(key, rbm.init(key, jnp.full(3, 0.5), 4))
    >>> state, _ = learner.update(key, state, jnp.ones((8, 6)))
    >>> bool((state.params.visible_bias > 0).all())
    True
    """
    check_record("copies", copies, Copies)
    beta = as_beta(beta)
    check_count("sweeps", sweeps)
    free_energy = lambda params, visible: rbm.free_energy(tied(params, copies), visible, beta)

    def kernel(params: rbm.Params) -> Kernel:
        whole = tied(params, copies)

        def sweep(key, visible):
            hidden_key, visible_key = jax.random.split(key)
            hidden = draw(hidden_key, rbm.hidden_field(whole, visible), beta, BITS)
            return draw(visible_key, rbm.visible_field(whole, hidden), beta, BITS)

        return alternate([sweep])

    negative = contrastive_divergence(kernel, lambda key, visible: visible, sweeps)
    return contrastive(free_energy, observed(), negative, optimizer)


def copies_of(level: int, machines: int) -> Copies:
    """How many copies of each side the machine at `level` has in training.

    `level` counts from 0 at the bottom, `machines` is the number of all restricted machines:

        bottom    visible 2, hidden 1
        middle    visible 1, hidden 1; `compose` halves its weights
        top       visible 1, hidden 2
        the only  visible 1, hidden 1

    Raises ValueError for an argument of another kind.

    >>> [tuple(copies_of(level, 3)) for level in range(3)]
    [(2, 1), (1, 1), (1, 2)]
    """
    if not isinstance(level, int):
        raise ArgumentError(f"level: got {level!r}, wanted a whole number")
    check_count("machines", machines)
    if machines == 1:
        return Copies(1, 1)
    return Copies(2 if level == 0 else 1, 2 if level == machines - 1 else 1)


def tied(params: rbm.Params, copies: Copies) -> rbm.Params:
    """The machine with all copies, which share the parameters in `params`.

    Shapes: weights (visible, hidden) become (copies.visible · visible, copies.hidden · hidden), the biases likewise.

    Raises ValueError for an argument of another kind.

    >>> whole = tied(rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), Copies(2, 1))
    >>> whole.weights.shape, whole.visible_bias.shape
    ((6, 2), (6,))
    """
    check_record("params", params, rbm.Params)
    check_record("copies", copies, Copies)
    return rbm.Params(
        jnp.tile(params.weights, copies),
        jnp.tile(params.visible_bias, copies.visible),
        jnp.tile(params.hidden_bias, copies.hidden),
    )


def hidden_means(params: rbm.Params, visible: Any, beta: Beta, copies: Copies) -> Float[Array, "samples hidden"]:
    """P(h = 1 | v) of each hidden unit, where all copies of v are equal: what the next machine is trained on.

    Raises ValueError for an argument of another kind.

    >>> params = rbm.Params(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> hidden_means(params, jnp.ones((1, 3)), 1.0, Copies(2, 1)).tolist()
    [[0.5, 0.5]]
    """
    check_record("params", params, rbm.Params)
    check_record("copies", copies, Copies)
    visible, beta = as_float("visible", visible, (None, len(params.visible_bias))), as_beta(beta)
    summed = params._replace(weights=copies.visible * params.weights)
    return jax.nn.sigmoid(reduced(jax.vmap(lambda v: rbm.hidden_field(summed, v))(visible), beta))


def compose(machines: Sequence[rbm.Params]) -> deep_boltzmann.Params:
    """The deep machine made of restricted ones that were trained with the copies of `copies_of`.

    The weights of middle machines are halved, and each hidden layer gets the mean of its two biases.

    Args:
        machines: from the bottom up.

    Raises:
        ValueError: a hidden side of another size than the visible side of the next machine.

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
