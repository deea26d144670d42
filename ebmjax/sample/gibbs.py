"""Gibbs sampling of binary units, for any energy: each unit is drawn from its conditional law given all the others.

    P(unit = high | rest) = σ(beta · gap),    energy gap = E(low, rest) - E(high, rest)

which is σ(2 beta (Ws + b)_i) for spins of E(s) = -½ sᵀWs - bᵀs, and σ(beta (Ws + b)_i) for units of {0, 1}. At
beta = inf a unit takes the value of lower energy, and each value with probability ½ at a tie. One step of a kernel is
one sweep: as many updates as there are units. All kernels leave exp(-beta E)/Z invariant. A value that is forbidden, by
an energy of +inf or NaN, is never taken if the other one is not.

    systematic     one unit after another, in order; the plain one, for every energy
    random_scan    one unit after another, each chosen at random; reversible
    chromatic      all units of a colour at once, for a known colouring of the graph, such as a lattice
    block          whole layers at once, for positions that are tuples of layers
    alternate      one step of several draws of yours, of any kind of unit

For E(s) = -½ sᵀWs - bᵀs take `special.dense` (many chains) or `special.single_site` (some units clamped) instead of
`systematic`: they have the same law and are faster. For the square Ising lattice take `special.checkerboard` or
`special.multispin` instead of `chromatic`, for the same reason.

Geman and Geman (1984), "Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images".
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_floats,
    as_scalar,
    check_callable,
    check_key,
    check_record,
    check_units,
)
from ebmjax.compiled import compiled
from ebmjax.marginalize.layers import with_layers
from ebmjax.records import record
from ebmjax.sample.metropolis import check_allowed, is_forbidden
from ebmjax.sample.units import check_independent, draw, gaps, heat_bath, settled
from ebmjax.sample.units import positive_uniform as positive_uniform
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Alphabet, Beta, Energy, Kernel


@record
class State(NamedTuple):
    """What the next sweep of a sampler of units needs."""

    position: PyTree[Array]
    """The units: an array, or a tuple of arrays for layers and sublattices."""


@record
class Info(NamedTuple):
    """What happened in a sweep."""

    changed: Float[Array, ""]
    """Share of the updates that changed a unit."""
    forbidden: Bool[Array, ""] | bool = False
    """Whether the energy where the chain now is is +inf or NaN; False for energies that are finite everywhere."""


@runtime_checkable
class Draw(Protocol):
    """One part of a sweep: a draw from a conditional law, or a step of another sampler."""

    def __call__(self, key: Key[Array, ""], position: Any, /) -> Any:
        """The position with some of its parts drawn anew."""
        ...


def systematic(energy: Energy, beta: Beta, alphabet: Alphabet = SPINS) -> Kernel:
    """Systematic scan: every unit once, in order. Each update evaluates the energy twice.

    Args:
        energy: `energy(units) -> scalar` of one array of binary units, of any shape.
        beta: inverse temperature in [0, inf]; may be traced.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `changed` and `forbidden`.

    Raises:
        ValueError: a bad beta; at `init`, static units outside the alphabet, or at an energy of +inf or NaN.

    Geman and Geman (1984).

    >>> kernel = systematic(lambda s: -s.sum(), jnp.inf)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([-1.0, 1.0, -1.0])))[0].position.tolist()
    [1.0, 1.0, 1.0]
    """
    return _single_site(energy, beta, alphabet, _in_order)


def random_scan(energy: Energy, beta: Beta, alphabet: Alphabet = SPINS) -> Kernel:
    """Random scan: as many updates as there are units, each of a unit chosen uniformly at random.

    Unlike that of `systematic`, the chain is reversible; in one sweep some units are drawn twice and some not at all.

    Arguments and errors as in `systematic`.

    >>> kernel = random_scan(lambda s: -s.sum(), 1.0)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(-jnp.ones(5)))
    >>> state.position.shape
    (5,)
    """
    return _single_site(energy, beta, alphabet, _at_random)


def chromatic(energy: Energy, beta: Beta, colors: Any, alphabet: Alphabet = SPINS) -> Kernel:
    """All units of one colour at once, colour after colour: one gradient of the energy for each colour.

    Args:
        energy: `energy(units) -> scalar` of one array, linear in each unit while the others are fixed, as is a
            polynomial without powers. Its gradient then gives the energy gaps of all units at once.
        beta: inverse temperature in [0, inf]; may be traced.
        colors: static integers of the array's shape, such that no two units of a colour interact in the energy.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `changed` and `forbidden`.

    Raises:
        ValueError: a bad beta; at `init`, static units outside the alphabet, colours of another shape or, where the
            energy's parameters are static, two units of one colour that interact.

    Gonzalez et al. (2011), "Parallel Gibbs sampling: from colored fields to thin junction trees".

    >>> kernel = chromatic(lambda s: -s[0] * s[1], jnp.inf, np.array([0, 1]))
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init(jnp.array([1.0, -1.0])))
    >>> state.position.tolist()
    [-1.0, -1.0]
    """
    beta = _checked(energy, beta, alphabet)
    colors = np.asarray(colors)
    masks = tuple(colors == color for color in np.unique(colors))

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        position = as_float("position", position)
        check_units("position", position, alphabet)
        if position.shape != colors.shape:
            raise ArgumentError(f"colors: got shape {colors.shape}, wanted that of the position, {position.shape}")
        for mask in masks:
            got = f"colors: got two units of colour {colors[mask][0]} that interact"
            check_independent(got, energy, position, mask, alphabet)
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _sweep_of_colors(rng_key, state, energy, beta, masks, alphabet)

    return Kernel(init, step)


@compiled
def _sweep_of_colors(rng_key, state, energy, beta, masks, alphabet):
    position = state.position
    for mask, color_key in zip(masks, jax.random.split(rng_key, len(masks)), strict=True):
        position = jnp.where(mask, draw(color_key, gaps(energy, position, alphabet), beta, alphabet), position)
    return State(position), Info(
        (position != state.position).mean(), is_forbidden(as_scalar("energy", energy(position)))
    )


def block(energy: Energy, beta: Beta, blocks: Sequence[Sequence[int]], alphabet: Alphabet = SPINS) -> Kernel:
    """Whole layers at once, block after block, for positions that are tuples of arrays.

    Args:
        energy: `energy(layers) -> scalar` of a tuple of arrays, linear in each unit while the others are fixed.
        beta: inverse temperature in [0, inf]; may be traced.
        blocks: static; each block lists the layers that are drawn together, whose units must not interact in the
            energy. ((1,), (0,)) is v → h → v of a restricted Boltzmann machine with the position (v, h). A layer in no
            block is clamped: it stays as it is.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `changed` and `forbidden`.

    Raises:
        ValueError: a bad beta; no layer, or a layer in two blocks; at `init`, static units outside the alphabet, a
            layer that does not exist or, where the energy's parameters are static, units of one block that interact.

    Geman and Geman (1984); Jensen, Kong and Kjærulff (1995), "Blocking Gibbs sampling in very large probabilistic
    expert systems".

    >>> kernel = block(lambda s: -s[0] @ s[1], jnp.inf, ((1,), (0,)))
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init((jnp.array([1.0, -1.0]), jnp.array([1.0, 1.0]))))
    >>> state.position[1].tolist()
    [1.0, -1.0]
    """
    beta = _checked(energy, beta, alphabet)
    blocks = tuple(tuple(int(layer) for layer in members) for members in blocks)
    drawn_layers = [layer for members in blocks for layer in members]
    if len(set(drawn_layers)) != len(drawn_layers) or min(drawn_layers, default=-1) < 0:
        raise ArgumentError(f"blocks: got {blocks}, wanted at least one layer, each in one block at most")

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        if not isinstance(position, tuple | list):
            raise ArgumentError(f"position: got a {type(position).__name__}, wanted a tuple of layers")
        position = as_floats("position", tuple(position))
        check_units("position", [position[layer] for layer in drawn_layers if layer < len(position)], alphabet)
        if max(drawn_layers) >= len(position):
            raise ArgumentError(f"blocks: got {blocks}, wanted layers below {len(position)}")
        for members in blocks:
            masks = tuple(np.full(layer.shape, index in members) for index, layer in enumerate(position))
            got = f"blocks: got layers {members} with units that interact"
            check_independent(got, energy, position, masks, alphabet)
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _sweep_of_blocks(rng_key, state, energy, beta, blocks, alphabet)

    return Kernel(init, step)


@compiled
def _sweep_of_blocks(rng_key, state, energy, beta, blocks, alphabet):
    position = list(state.position)
    for members, block_key in zip(blocks, jax.random.split(rng_key, len(blocks)), strict=True):
        slopes = jax.grad(lambda some, rest, members=members: energy(with_layers(rest, members, some)))(
            [position[layer] for layer in members], position
        )
        for layer, slope, layer_key in zip(members, slopes, jax.random.split(block_key, len(members)), strict=True):
            position[layer] = draw(layer_key, (alphabet.low - alphabet.high) * slope, beta, alphabet)
    changed = [(position[layer] != state.position[layer]).mean() for members in blocks for layer in members]
    return State(tuple(position)), Info(
        jnp.stack(changed).mean(), is_forbidden(as_scalar("energy", energy(tuple(position))))
    )


def alternate(draws: Sequence[Draw]) -> Kernel:
    """A sweep that you compose: draws, `draw(key, position) -> position`, one after another.

    Each may draw from a conditional law, of any kind of unit, or be a step of another sampler. If each leaves a law
    invariant, so does the sweep. Its info is None, since it cannot know what the draws would report. Positions take the
    dtypes that the draws return. Raises ValueError for a draw that is no function.

    >>> kernel = alternate([lambda key, x: (x[0], x[0] + 1), lambda key, x: (x[1] * 2, x[1])])
    >>> [int(x) for x in kernel.step(jax.random.key(0), kernel.init((1, 0)))[0].position]
    [4, 2]
    """

    for place, part in enumerate(draws):
        check_callable(f"draws[{place}]", part)
    draws = tuple(draws)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        return State(_as_drawn(position, draws))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, None]:
        check_key("rng_key", rng_key)
        return State(_in_turn(rng_key, state.position, draws)), None

    return Kernel(init, step)


@compiled
def _in_turn(rng_key, position, draws):
    for part, part_key in zip(draws, jax.random.split(rng_key, len(draws)), strict=True):
        position = part(part_key, position)
    return position


def _as_drawn(position, draws):
    """The position in the dtypes that a sweep gives back: floats for bytes of a picture, integers for indices."""
    position = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf), position)
    in_floats = lambda leaf: leaf.dtype in (np.float32, np.float64)
    if all(in_floats(leaf) for leaf in jax.tree.leaves(position)):
        return position
    widen = lambda leaf: leaf.astype(jnp.float32) if leaf.dtype in (jnp.float16, jnp.bfloat16) else leaf
    position = jax.tree.map(widen, position)
    drawn = jax.eval_shape(lambda key, position: _in_turn(key, position, draws), jax.random.key(0), position)
    if jax.tree.structure(drawn) != jax.tree.structure(position):
        return position
    return jax.tree.map(lambda old, new: old.astype(new.dtype), position, drawn)


def _checked(energy, beta, alphabet):
    check_callable("energy", energy)
    check_record("alphabet", alphabet, Alphabet)
    return as_beta(beta)


def _in_order(key, size):
    return jnp.arange(size)


def _at_random(key, size):
    return jax.random.randint(key, (size,), 0, size)


def _single_site(energy, beta, alphabet, order):
    beta = _checked(energy, beta, alphabet)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        position = as_float("position", position)
        check_units("position", position, alphabet)
        check_allowed("position", _height(energy, position))
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _sweep_of_sites(rng_key, state, energy, beta, alphabet, order)

    return Kernel(init, step)


@compiled
def _height(energy, position):
    return as_scalar("energy", energy(position))


@compiled
def _sweep_of_sites(rng_key, state, energy, beta, alphabet, order):
    shape, size = state.position.shape, state.position.size
    order_key, draws_key = jax.random.split(rng_key)
    height = lambda units: as_scalar("energy", energy(units.reshape(shape)))

    def update(units, site_and_uniform):
        site, uniform = site_and_uniform
        low, high = (height(units.at[site].set(value)) for value in alphabet)
        low, high = (jnp.where(is_forbidden(value), jnp.inf, value) for value in (low, high))
        gap = settled(low - high, jnp.maximum(jnp.abs(low), jnp.abs(high)), beta)
        # what is forbidden or certain is so at beta = 0 too; of two forbidden values each is equally likely
        gap = jnp.where(jnp.isinf(gap), gap, reduced(jnp.where(jnp.isnan(gap), 0, gap), beta))
        new = heat_bath(uniform, gap, 1.0, alphabet).astype(units.dtype)
        return units.at[site].set(new), new != units[site]

    uniforms = random_bits.around_zero(jax.random.bits(draws_key, (size,), jnp.uint32))
    units, turned = jax.lax.scan(update, state.position.ravel(), (order(order_key, size), uniforms))
    units = units.reshape(shape)
    return State(units), Info(turned.mean(), is_forbidden(height(units)))
