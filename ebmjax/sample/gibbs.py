"""Gibbs sampling of binary units: each is drawn from its law given all the others.

    P(unit = high | rest) = σ(beta · gap),    gap = E(low, rest) - E(high, rest)

which is σ(2 beta (Ws + b)_i) for spins and σ(beta ...) for {0, 1}. At beta = inf a unit goes where the energy is lower,
and either way at a tie. One step is one sweep: as many updates as there are units.

Single sites go one after another, in order (`systematic`) or at random (`random_scan`). Where units do not see each
other they may be drawn together: a colouring says which (`chromatic`), or the layers do (`block`). All of them leave
exp(-beta E)/Z invariant.

Geman and Geman (1984), "Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images".
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import ArgumentError, check_beta, check_units, is_static
from ebmjax.marginalize.layers import with_layers
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Alphabet, Beta, Energy, Kernel


class State(NamedTuple):
    """What the next sweep needs."""

    position: PyTree[Array]


class Info(NamedTuple):
    """What happened in a sweep."""

    changed: Float[Array, ""]  # share of the updates that turned a unit over


def systematic(energy: Energy, beta: Beta, alphabet: Alphabet = SPINS) -> Kernel:
    """Every unit of an array once, in order. Costs two energies an update; `dense` is quicker where E is quadratic.

    Raises ValueError for a bad beta, or static units outside the alphabet.

    >>> kernel = systematic(lambda s: -s.sum(), jnp.inf)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([-1.0, 1.0, -1.0])))[0].position.tolist()
    [1.0, 1.0, 1.0]
    """
    return _single_site(energy, beta, alphabet, lambda key, size: jnp.arange(size))


def random_scan(energy: Energy, beta: Beta, alphabet: Alphabet = SPINS) -> Kernel:
    """As many updates as there are units, each at a site chosen at random: the chain is reversible.

    Raises ValueError for a bad beta, or static units outside the alphabet.

    >>> kernel = random_scan(lambda s: -s.sum(), 1.0)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(-jnp.ones(5)))
    >>> state.position.shape
    (5,)
    """
    return _single_site(energy, beta, alphabet, lambda key, size: jax.random.randint(key, (size,), 0, size))


def chromatic(
    energy: Energy, beta: Beta, colors: Int[Array | np.ndarray, "*shape"], alphabet: Alphabet = SPINS
) -> Kernel:
    """All units of one colour at once, colour after colour.

    Args:
        energy: of one array, linear in each unit while the others are held, as is every energy of binary units that is
            written as a polynomial without powers: its gradient then holds all gaps at once.
        beta: inverse temperature in [0, inf].
        colors: static, of the array's shape: 0 … number of colours - 1, such that no two units of a colour meet in the
            energy.
        alphabet: the two values of a unit.

    Raises:
        ValueError: a bad beta; units outside the alphabet; at `init`, colours of another shape or, where the energy's
            parameters are static, a colour with two units that meet.

    Gonzalez et al. (2011), "Parallel Gibbs sampling: from colored fields to thin junction trees".

    >>> kernel = chromatic(lambda s: -s[0] * s[1], jnp.inf, np.array([0, 1]))
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init(jnp.array([1.0, -1.0])))
    >>> state.position.tolist()
    [-1.0, -1.0]
    """
    check_beta(beta)
    colors = np.asarray(colors)
    masks = [colors == color for color in np.unique(colors)]

    def init(position: Float[Array, "*shape"], rng_key: Key[Array, ""] | None = None) -> State:
        check_units("position", position, alphabet)
        if position.shape != colors.shape:
            raise ArgumentError(f"colors: got shape {colors.shape}, wanted that of the position, {position.shape}")
        for mask in masks:
            got = f"colors: got two units of colour {colors[mask][0]} that meet"
            _check_independent(got, energy, position, mask, alphabet)
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        position = state.position
        for mask, color_key in zip(masks, jax.random.split(rng_key, len(masks)), strict=True):
            drawn = draw(color_key, gaps(energy, position, alphabet), beta, alphabet)
            position = jnp.where(mask, drawn, position)
        return State(position), Info((position != state.position).mean())

    return Kernel(init, step)


def block(energy: Energy, beta: Beta, blocks: Sequence[Sequence[int]], alphabet: Alphabet = SPINS) -> Kernel:
    """Whole layers at once, block after block: for positions that are tuples of arrays.

    Args:
        energy: of a tuple of layers, linear in each unit while the others are held.
        beta: inverse temperature in [0, inf].
        blocks: static; each names the layers that are drawn together, which must not meet in the energy, nor may the
            units of a layer. ((1,), (0,)) is v → h → v of a restricted Boltzmann machine with the position (v, h). A
            layer in no block is held: clamped.
        alphabet: the two values of a unit.

    Raises:
        ValueError: a bad beta; units outside the alphabet; a layer that does not exist or stands in two blocks; where
            the energy's parameters are static, units of one block that meet.

    >>> kernel = block(lambda s: -s[0] @ s[1], jnp.inf, ((1,), (0,)))
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init((jnp.array([1.0, -1.0]), jnp.array([1.0, 1.0]))))
    >>> state.position[1].tolist()
    [1.0, -1.0]
    """
    check_beta(beta)
    drawn_layers = [layer for members in blocks for layer in members]
    if len(set(drawn_layers)) != len(drawn_layers) or min(drawn_layers, default=-1) < 0:
        raise ArgumentError(f"blocks: got {tuple(blocks)}, wanted at least one layer, each in one block at most")

    def init(position: tuple[Array, ...], rng_key: Key[Array, ""] | None = None) -> State:
        check_units("position", [position[layer] for layer in drawn_layers if layer < len(position)], alphabet)
        if max(drawn_layers) >= len(position):
            raise ArgumentError(f"blocks: got {tuple(blocks)}, wanted layers below {len(position)}")
        for members in blocks:
            masks = tuple(np.full(layer.shape, index in members) for index, layer in enumerate(position))
            got = f"blocks: got layers {tuple(members)} with units that meet"
            _check_independent(got, energy, tuple(position), masks, alphabet)
        return State(tuple(position))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        position = list(state.position)
        for members, block_key in zip(blocks, jax.random.split(rng_key, len(blocks)), strict=True):
            slopes = jax.grad(lambda some, rest: energy(with_layers(rest, members, some)))(
                [position[layer] for layer in members], position
            )
            for layer, slope, layer_key in zip(members, slopes, jax.random.split(block_key, len(members)), strict=True):
                position[layer] = draw(layer_key, (alphabet.low - alphabet.high) * slope, beta, alphabet)
        changed = [(position[layer] != state.position[layer]).mean() for layer in drawn_layers]
        return State(tuple(position)), Info(jnp.stack(changed).mean())

    return Kernel(init, step)


def alternate(draws: Sequence[Callable[[Key[Array, ""], Any], Any]]) -> Kernel:
    """A sweep made of draws, one after another: `draw(key, position) -> position`.

    Any draw from a conditional law will do, of any kind of unit; so do the steps of other samplers.

    >>> kernel = alternate([lambda key, x: (x[0], x[0] + 1), lambda key, x: (x[1] * 2, x[1])])
    >>> kernel.step(jax.random.key(0), kernel.init((1, 0)))[0].position
    (4, 2)
    """

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, None]:
        position = state.position
        for part, part_key in zip(draws, jax.random.split(rng_key, len(draws)), strict=True):
            position = part(part_key, position)
        return State(position), None

    return Kernel(lambda position, rng_key=None: State(position), step)


def gaps(energy: Energy, position: PyTree[Array], alphabet: Alphabet) -> PyTree[Array]:
    """E(unit = low) - E(unit = high) for every unit, the others held: -(high - low) ∂E/∂unit, as E is linear in each.

    >>> gaps(lambda s: -3 * s[0] * s[1], jnp.array([1.0, -1.0]), SPINS).tolist()
    [-6.0, 6.0]
    """
    return jax.tree.map(lambda slope: (alphabet.low - alphabet.high) * slope, jax.grad(energy)(position))


def draw(key: Key[Array, ""], gap: Float[Array, "*shape"], beta: Beta, alphabet: Alphabet) -> Float[Array, "*shape"]:
    """Units that are high with probability σ(beta · gap), each on its own.

    Compared as u (1 + exp(-x)) < 1, which neither overflows nor rounds a probability to 0 or 1 before 2⁻²⁵.

    >>> draw(jax.random.key(0), jnp.array([5.0, -5.0]), jnp.inf, SPINS).tolist()
    [1.0, -1.0]
    """
    dtype = gap.dtype
    # midpoints of a grid: neither 0 nor 1
    uniform = (jax.random.uniform(key, gap.shape, jnp.float32) + np.float32(2.0**-25)).astype(dtype)
    high = uniform * (1 + jnp.exp(-reduced(gap, beta))) < 1
    return jnp.where(high, alphabet.high, alphabet.low).astype(dtype)


def _single_site(energy, beta, alphabet, order):
    check_beta(beta)

    def init(position: Float[Array, "*shape"], rng_key: Key[Array, ""] | None = None) -> State:
        check_units("position", position, alphabet)
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        shape, size = state.position.shape, state.position.size
        order_key, draws_key = jax.random.split(rng_key)
        flat_energy = lambda units: energy(units.reshape(shape))

        def update(units, site_and_key):
            site, site_key = site_and_key
            low, high = (units.at[site].set(value) for value in alphabet)
            new = draw(site_key, flat_energy(low) - flat_energy(high), beta, alphabet).astype(units.dtype)
            return units.at[site].set(new), new != units[site]

        sites = order(order_key, size)
        units, turned = jax.lax.scan(update, state.position.ravel(), (sites, jax.random.split(draws_key, size)))
        return State(units.reshape(shape)), Info(turned.mean())

    return Kernel(init, step)


def _check_independent(name, energy, like, masks, alphabet):
    """Units drawn together must not change each other's gaps: compared between random fillings of theirs.

    A pair that meets is missed only if it cancels in eight random fillings; traced parameters cannot be checked.
    """
    random = np.random.default_rng(0)
    dtype = jnp.result_type(float)
    with jax.ensure_compile_time_eval():
        all_gaps = jax.jit(lambda position: gaps(energy, position, alphabet))
        rest = jax.tree.map(lambda leaf: random.choice(np.asarray(alphabet), leaf.shape), like)
        values = []
        for _ in range(8):
            refill = lambda old, mask: np.where(mask, random.choice(np.asarray(alphabet), old.shape), old)
            filled = jax.tree.map(lambda old, mask: jnp.asarray(refill(old, mask), dtype), rest, masks)
            values.append(all_gaps(filled))
            if not all(is_static(leaf) for leaf in jax.tree.leaves(values[-1])):
                return
    for leaves, mask in zip(zip(*map(jax.tree.leaves, values), strict=True), jax.tree.leaves(masks), strict=True):
        stacked = np.stack([np.asarray(leaf)[np.broadcast_to(mask, leaf.shape)] for leaf in leaves])
        if (np.ptp(stacked, axis=0) > 1e-4 * (1 + np.abs(stacked).max(initial=0))).any():
            raise ArgumentError(f"{name}, wanted only units that do not meet in the energy")
