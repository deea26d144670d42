"""The samplers of `spin_league`: those of ours that fit a law, and thrml's where it is installed.

All have the same budget, in evaluations: work that goes once through all terms of the energy, such as one energy with
its gradient. A step costs

    1                    of a checkerboard, a block of layers, a cluster move, an informed proposal, a flip of one unit
    number of colours    of a sweep that draws one colour after another from whole gradients
    2 · units            of a sweep over the units one by one, for which each unit takes two energies
    rungs · that         of a ladder of temperatures, and twice that of one of pairs

Kernels that know one kind of energy do less than an evaluation for a flip of one unit; this figure is for any energy.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import random_bits
from ebmjax.energies import ising, potts
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.loops import repeat, thinned, trajectory
from ebmjax.sample import informed
from ebmjax.sample.adaptive_tempering import adaptive_tempering
from ebmjax.sample.cluster import swendsen_wang, wolff
from ebmjax.sample.gibbs import alternate, chromatic, systematic
from ebmjax.sample.isoenergetic import isoenergetic
from ebmjax.sample.metropolis import flip_one, flip_one_bit, metropolis
from ebmjax.sample.special import multispin
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.special.restricted import binary
from ebmjax.sample.tempering import tempering
from ebmjax.types import SPINS, Kernel
from experiments.samplers import spin_peers
from experiments.samplers.players import OURS
from experiments.samplers.spin_laws import SpinLaw

ROUNDS = 5
"""Rounds in which a ladder is placed."""
STEP_SIZES = np.geomspace(0.2, 20, 8).astype(np.float32)
"""Step sizes α that discrete Langevin tries."""
ACCEPTANCE = 0.57
"""The share of accepted steps that Sun, Dai and Schuurmans (2022) recommend for discrete Langevin."""


class Sizes(NamedTuple):
    """What all players have to spend, for each chain."""

    warm: int
    """Evaluations before the first draw."""
    draws: int
    evaluations: int
    """Evaluations of one draw."""
    rungs: int
    """Of a ladder."""


class Drawn(NamedTuple):
    """What was observed of all chains."""

    observed: Float[Array, "chains draws quantities"]
    evaluations: float
    """Of a chain."""


class Entrant(NamedTuple):
    """A sampler that plays on one law, all chains at once."""

    name: str
    package: str
    warm: Callable[[Key[Array, " chains"], Float[Array, "chains ..."]], Any]
    """`(keys, starts) -> setup`."""
    draw: Callable[[Key[Array, " chains"], Any], Float[Array, "chains draws quantities"]]
    """`(keys, setup) -> observed`."""
    evaluations: int
    """Of the draws of a chain."""


class Moves(NamedTuple):
    """A kernel with what it takes and gives."""

    name: str
    make: Callable[[Any], Kernel]
    """`beta -> Kernel`."""
    cost: int
    energy: Callable[[Any], Any]
    """Of its positions."""
    enter: Callable[[Any], Any] = lambda units: units
    """From the units of the law to a position."""
    leave: Callable[[Any], Any] = lambda position: position
    """And back."""


def lineup(law: SpinLaw, sizes: Sizes) -> list[Entrant]:
    """All samplers that fit a law."""
    moves = _single_units(law) + _many_units(law)
    entrants = [_entrant(law, sizes, each) for each in moves]
    entrants.append(_discrete_langevin(law, sizes))
    if law.coupled is not None and law.lattice is not None and law.lattice.params.coupling.ndim == 0:
        entrants.append(_multispin(law, sizes))
    if law.hottest is not None:
        inner = moves[-1] if law.machine is None and law.lattice is None else _fastest(law)
        entrants.append(_tempered(law, sizes, inner))
        if law.coupled is not None and np.any(np.asarray(law.coupled.params.coupling) < 0):
            entrants.append(_pairs(law, sizes, _of_colors(law)))
    if spin_peers.thrml_version() is not None and law.coupled is not None and len(law.coupled.graph.edges):
        moves = Moves("block Gibbs", lambda beta: spin_peers.thrml_gibbs(law, beta), 1, law.energy)
        entrants.append(_entrant(law, sizes, moves, spin_peers.THRML))
    return entrants


# ---- Kernels ---------------------------------------------------------------------------------------------------------


def _single_units(law):
    """Samplers that change at most one unit at a time, for any energy."""
    if law.alphabet is None:
        inform = partial(informed.gibbs_with_gradients_of_categories, law.energy)
        walk = lambda beta: metropolis(law.energy, beta, _turn_one)
        return [Moves("Metropolis", walk, 1, law.energy), Moves("Gibbs with gradients", inform, 1, law.energy)]
    units = jax.eval_shape(law.start, jax.random.key(0)).size
    flip = flip_one if law.alphabet == SPINS else flip_one_bit
    return [
        Moves("Metropolis", lambda beta: metropolis(law.energy, beta, flip), 1, law.energy),
        Moves("Gibbs", lambda beta: systematic(law.energy, beta, law.alphabet), 2 * units, law.energy),
        Moves(
            "Gibbs with gradients",
            lambda beta: informed.gibbs_with_gradients(law.energy, beta, law.alphabet),
            1,
            law.energy,
        ),
    ]


def _turn_one(key, rows):
    """A proposal for one-hot rows: one of them, chosen at random, takes another state."""
    row_key, by_key = jax.random.split(key)
    units, states = rows.shape
    row, by = jax.random.randint(row_key, (), 0, units), jax.random.randint(by_key, (), 1, states)
    return rows.at[row].set(jnp.roll(rows[row], by))


def _many_units(law):
    """Samplers that know the energy, and draw many units at once."""
    moves = [] if law.colors is None or law.alphabet is None else [_of_colors(law)]
    if law.lattice is not None or law.machine is not None:
        moves.append(_fastest(law))
    if law.coupled is not None and law.coupled.params.field.ndim == 0 and not _is_glass(law):
        params, graph = law.coupled
        for name, move in (("Swendsen-Wang", swendsen_wang), ("Wolff", wolff)):
            make = lambda beta, move=move: move(params, beta, graph, random_bits.hashed)
            moves.append(Moves(name, make, 1, law.energy))
    if law.edges is not None:
        moves += _of_potts(law)
    return moves


def _is_glass(law):
    return bool(np.any(np.asarray(law.coupled.params.coupling) < 0))


def _of_colors(law):
    colors = int(law.colors.max()) + 1
    make = lambda beta: chromatic(law.energy, beta, law.colors, law.alphabet)
    return Moves("chromatic Gibbs", make, colors, law.energy)


def _fastest(law):
    """The kernel made for this energy."""
    if law.machine is not None:
        return Moves(
            "block Gibbs",
            lambda beta: binary(law.machine, beta),
            1,
            lambda units: rbm.energy(law.machine, *units),
            lambda bits: (bits, jnp.zeros_like(law.machine.hidden_bias)),
            lambda units: units[0],
        )
    params, side = law.lattice
    return Moves(
        "checkerboard",
        lambda beta: checkerboard(params, beta, (side, side), random_bits.hashed),
        1,
        lambda parts: ising.energy(params, ising.join(parts)),
        lambda spins: ising.split(spins.reshape(side, side)),
        lambda parts: ising.join(parts).ravel(),
    )


def _of_potts(law):
    """A sweep by colours and cluster moves, whose positions are numbers of states."""
    states = jax.eval_shape(law.start, jax.random.key(0)).shape[-1]
    params = potts.Params(jnp.array(1.0), jnp.zeros(states))
    numbers = lambda rows: jnp.argmax(rows, axis=-1).astype(jnp.float32)
    rows = lambda numbers: jax.nn.one_hot(numbers.astype(jnp.int32), states)
    energy = lambda numbers: potts.energy(params, law.edges, numbers)

    def of_color(beta, color):
        def draw(key, position):
            logits = -beta * potts.local_energies(params, law.edges, position)
            drawn = jax.random.categorical(key, logits).astype(position.dtype)
            return jnp.where(law.colors == color, drawn, position)

        return draw

    colors = range(int(law.colors.max()) + 1)
    sweep = lambda beta: alternate([of_color(beta, color) for color in colors])
    clusters = [("Swendsen-Wang", swendsen_wang), ("Wolff", wolff)]
    moves = [("chromatic Gibbs", sweep, len(colors))]
    moves += [
        (name, lambda beta, move=move: move(params, beta, law.edges, random_bits.hashed), 1) for name, move in clusters
    ]
    return [Moves(name, make, cost, energy, numbers, rows) for name, make, cost in moves]


# ---- Chains of one temperature ---------------------------------------------------------------------------------------


def _counts(sizes, cost):
    """Steps of the warm-up, draws, and steps for each of them, of a kernel with this cost."""
    each = max(1, sizes.evaluations // cost)
    draws = max(4, sizes.draws * sizes.evaluations // (each * cost))
    return max(1, sizes.warm // cost), draws, each


def _entrant(law, sizes, moves, package=OURS):
    warm_steps, draws, each = _counts(sizes, moves.cost)
    kernel = moves.make(law.beta)

    def warm(key, start):
        return repeat(key, kernel, kernel.init(moves.enter(start)), warm_steps).positions

    def draw(key, position):
        observe = lambda state: law.observe(moves.leave(state.position))
        return trajectory(key, thinned(kernel, each), position, draws, observe=observe).positions

    return Entrant(moves.name, package, jax.vmap(warm), jax.vmap(draw), draws * each * moves.cost)


def _discrete_langevin(law, sizes):
    """Discrete Langevin, with the step size of several whose acceptance is nearest to the recommended one."""
    warm_steps, draws, each = _counts(sizes, 1)
    trial = max(8, warm_steps // (2 * len(STEP_SIZES)))

    def make(step_size):
        if law.alphabet is None:
            return informed.langevin_of_categories(law.energy, law.beta, step_size)
        return informed.langevin(law.energy, law.beta, step_size, law.alphabet)

    def warm(key, start):
        trial_key, rest_key = jax.random.split(key)
        runs = jax.vmap(
            lambda key, size: trajectory(key, make(size), start, trial, observe=lambda state: state.position[:0])
        )(jax.random.split(trial_key, len(STEP_SIZES)), jnp.asarray(STEP_SIZES))
        # the second half of a trial is nearer to the law
        accepted = runs.infos.accepted[:, trial // 2 :].mean(axis=1)
        size = jnp.asarray(STEP_SIZES)[jnp.argmin(jnp.abs(accepted - ACCEPTANCE))]
        kernel = make(size)
        return repeat(rest_key, kernel, kernel.init(start), warm_steps // 2).positions, size

    def draw(key, setup):
        position, size = setup
        observe = lambda state: law.observe(state.position)
        return trajectory(key, thinned(make(size), each), position, draws, observe=observe).positions

    return Entrant("discrete Langevin", OURS, jax.vmap(warm), jax.vmap(draw), draws * each)


def _multispin(law, sizes):
    """32 chains in each word; a multiple of 32 chains plays."""
    params, side = law.lattice
    warm_steps, draws, each = _counts(sizes, 1)
    kernel = multispin.chains(params.coupling, law.beta, random_bits.hashed)

    def warm(keys, starts):
        position = multispin.pack_chains(starts.reshape(-1, side, side))
        return repeat(keys[0], kernel, kernel.init(position), warm_steps).positions

    def draw(keys, position):
        observe = lambda state: jax.vmap(law.observe)(multispin.unpack_chains(state.position).reshape(len(keys), -1))
        run = trajectory(keys[0], thinned(kernel, each), position, draws, observe=observe)
        return jnp.moveaxis(run.positions, 0, 1)

    return Entrant("multispin", OURS, warm, draw, draws * each)


# ---- Ladders ---------------------------------------------------------------------------------------------------------


def _place(law, sizes, moves, key, start, steps):
    """The rungs that a run of the ladder has placed, and where its replicas are."""
    betas = law.beta * jnp.geomspace(law.hottest, 1.0, sizes.rungs)
    position = jax.tree.map(lambda part: jnp.broadcast_to(part, (sizes.rungs, *part.shape)), moves.enter(start))
    nothing = lambda state: state.turn
    return adaptive_tempering(key, moves.energy, moves.make, betas, position, steps, ROUNDS, observe=nothing)


def _tempered(law, sizes, moves):
    cost = moves.cost * sizes.rungs
    warm_steps, draws, each = _counts(sizes, cost)

    def warm(key, start):
        found = _place(law, sizes, moves, key, start, max(2**ROUNDS, warm_steps // 2))
        return found.state.position, found.betas

    def draw(key, setup):
        position, betas = setup
        kernel = thinned(tempering(moves.energy, moves.make, betas), each)
        coldest = lambda state: jax.tree.map(lambda part: part[-1], state.position)
        observe = lambda state: law.observe(moves.leave(coldest(state)))
        return trajectory(key, kernel, position, draws, observe=observe).positions

    return Entrant(f"tempered {moves.name}", OURS, jax.vmap(warm), jax.vmap(draw), draws * each * cost)


def _pairs(law, sizes, moves):
    """Two ladders side by side, which exchange clusters on every rung; both coldest replicas are draws."""
    cost = 2 * moves.cost * sizes.rungs
    warm_steps, draws, each = _counts(sizes, cost)
    kernel_of = lambda betas: isoenergetic(law.energy, tempering(law.energy, moves.make, betas), law.coupled.graph)

    def warm(key, start):
        place_key, other_key, key = jax.random.split(key, 3)
        found = _place(law, sizes, moves, place_key, start, max(2**ROUNDS, warm_steps // 2))
        other = jax.vmap(law.start)(jax.random.split(other_key, sizes.rungs))
        kernel = kernel_of(found.betas)
        state = kernel.init(jnp.stack([found.state.position, other]))
        return repeat(key, kernel, state, max(1, warm_steps // 2)).positions, found.betas

    def draw(key, setup):
        position, betas = setup
        observe = lambda state: jax.vmap(law.observe)(state.position[:, -1])
        both = trajectory(key, thinned(kernel_of(betas), each), position, draws, observe=observe).positions
        # one after the other, as draws of one chain
        return jnp.moveaxis(both, 1, 0).reshape(2 * draws, -1)

    name = f"tempered {moves.name}, isoenergetic"
    return Entrant(name, OURS, jax.vmap(warm), jax.vmap(draw), draws * each * cost)
