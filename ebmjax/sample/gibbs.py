"""Gibbs sampling of binary units, for any energy: each unit is drawn from its conditional law given all the others.

    P(unit = high | rest) = σ(beta · gap),    energy gap = E(low, rest) - E(high, rest)

which is σ(2 beta (Ws + b)_i) for spins of E(s) = -½ sᵀWs - bᵀs, and σ(beta (Ws + b)_i) for units of {0, 1}. At
beta = inf a unit takes the value of lower energy, and each value with probability ½ at a tie. One step of a kernel is
one sweep: as many updates as there are units. All kernels leave exp(-beta E)/Z invariant.

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
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import ArgumentError, check_beta, check_units, is_static
from ebmjax.marginalize.layers import with_layers
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Alphabet, Beta, Energy, Kernel


class State(NamedTuple):
    """What the next sweep of a sampler of units needs."""

    position: PyTree[Array]
    """The units: an array, or a tuple of arrays for layers and sublattices."""


class Info(NamedTuple):
    """What happened in a sweep."""

    changed: Float[Array, ""]
    """Share of the updates that changed a unit."""


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
        Kernel whose info has `changed`.

    Raises:
        ValueError: a bad beta; at `init`, static units outside the alphabet.

    Geman and Geman (1984).

    >>> kernel = systematic(lambda s: -s.sum(), jnp.inf)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([-1.0, 1.0, -1.0])))[0].position.tolist()
    [1.0, 1.0, 1.0]
    """
    return _single_site(energy, beta, alphabet, lambda key, size: jnp.arange(size))


def random_scan(energy: Energy, beta: Beta, alphabet: Alphabet = SPINS) -> Kernel:
    """Random scan: as many updates as there are units, each of a unit chosen uniformly at random.

    Unlike that of `systematic`, the chain is reversible; in one sweep some units are drawn twice and some not at all.

    Arguments and errors as in `systematic`.

    >>> kernel = random_scan(lambda s: -s.sum(), 1.0)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(-jnp.ones(5)))
    >>> state.position.shape
    (5,)
    """
    return _single_site(energy, beta, alphabet, lambda key, size: jax.random.randint(key, (size,), 0, size))


def chromatic(
    energy: Energy, beta: Beta, colors: Int[Array | np.ndarray, "*shape"], alphabet: Alphabet = SPINS
) -> Kernel:
    """All units of one colour at once, colour after colour: one gradient of the energy for each colour.

    Args:
        energy: `energy(units) -> scalar` of one array, linear in each unit while the others are fixed, as is a
            polynomial without powers. Its gradient then gives the energy gaps of all units at once.
        beta: inverse temperature in [0, inf]; may be traced.
        colors: static integers of the array's shape, such that no two units of a colour interact in the energy.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `changed`.

    Raises:
        ValueError: a bad beta; at `init`, static units outside the alphabet, colours of another shape or, where the
            energy's parameters are static, two units of one colour that interact.

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
            got = f"colors: got two units of colour {colors[mask][0]} that interact"
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
    """Whole layers at once, block after block, for positions that are tuples of arrays.

    Args:
        energy: `energy(layers) -> scalar` of a tuple of arrays, linear in each unit while the others are fixed.
        beta: inverse temperature in [0, inf]; may be traced.
        blocks: static; each block lists the layers that are drawn together, whose units must not interact in the
            energy. ((1,), (0,)) is v → h → v of a restricted Boltzmann machine with the position (v, h). A layer in no
            block is clamped: it stays as it is.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `changed`.

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
            got = f"blocks: got layers {tuple(members)} with units that interact"
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


def alternate(draws: Sequence[Draw]) -> Kernel:
    """A sweep that you compose: draws, `draw(key, position) -> position`, one after another.

    Each may draw from a conditional law, of any kind of unit, or be a step of another sampler. If each leaves a law
    invariant, so does the sweep. Its info is None, since it cannot know what the draws would report.

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
    """The energy gap E(unit = low) - E(unit = high) of every unit while the others are fixed, as one gradient.

        gap = -(high - low) ∂E/∂unit

    Args:
        energy: linear in each unit while the others are fixed; for other energies the result is wrong.
        position: units, an array or any pytree of arrays.
        alphabet: the two values of a unit.

    Returns:
        gaps of the shape of the position, in units of energy.

    >>> gaps(lambda s: -3 * s[0] * s[1], jnp.array([1.0, -1.0]), SPINS).tolist()
    [-6.0, 6.0]
    """
    return jax.tree.map(lambda slope: (alphabet.low - alphabet.high) * slope, jax.grad(energy)(position))


def draw(key: Key[Array, ""], gap: Float[Array, "*shape"], beta: Beta, alphabet: Alphabet) -> Float[Array, "*shape"]:
    """Independent units that are high with probability σ(beta · gap).

    Args:
        key: typed random key.
        gap: energy gaps E(low) - E(high), any shape.
        beta: inverse temperature in [0, inf], in units of 1/gap.
        alphabet: the two values of a unit.

    Returns:
        units of the shape and dtype of `gap`.

    >>> draw(jax.random.key(0), jnp.array([5.0, -5.0]), jnp.inf, SPINS).tolist()
    [1.0, -1.0]
    """
    return heat_bath(positive_uniform(key, gap.shape).astype(gap.dtype), gap, beta, alphabet)


def heat_bath(
    uniform: Float[Array, "*#shape"], gap: Float[Array, "*#shape"], beta: Beta, alphabet: Alphabet
) -> Float[Array, "..."]:
    """Units that are high where uniform < σ(beta · gap): `draw` with random numbers that are given.

    The shapes of `uniform`, `gap` and beta broadcast against each other.

    Compared as u (1 + exp(-beta gap)) < 1, which does not overflow and loses no small probability above the least u.

    >>> heat_bath(jnp.array([0.2, 0.8]), jnp.zeros(2), 1.0, SPINS).tolist()
    [1.0, -1.0]
    """
    high = uniform * (1 + jnp.exp(-reduced(gap, beta))) < 1
    return jnp.where(high, alphabet.high, alphabet.low).astype(gap.dtype)


def positive_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
    """The numbers of `jax.random.uniform` plus 2⁻²⁵, in [2⁻²⁵, 1): logarithms and odds of them are finite.

    >>> bool(positive_uniform(jax.random.key(0), (9,)).min() > 0)
    True
    """
    return jax.random.uniform(key, shape, dtype) + jnp.asarray(2.0**-25, dtype)


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


def _check_independent(got, energy, like, masks, alphabet):
    """Raise, with the message `got`, if units that are drawn together change each other's energy gaps.

    The gaps are compared between eight random values of the units under the masks, the rest being fixed. Interactions
    are missed only where they cancel in all eight; traced parameters cannot be checked.
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
            raise ArgumentError(f"{got}, wanted only units that do not interact in the energy")
