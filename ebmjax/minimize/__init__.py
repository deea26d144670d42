"""Minimize (cold, beta = inf): find the unknown of least energy.

Which minimizer to take:

    a smooth energy with one valley        `descent.newton` for few unknowns, `descent.gradient_descent` for many
    several valleys, one or two unknowns   `search.refined_search`: a grid, then descent from its best points
    a space that can be enumerated         `search.grid_search`
    spins of a Hopfield network            `evolution`: one spin at a time, or all at once
    sparse codes                           the package `codes`: `coordinate` is the fastest for one dictionary and many
                                           observations, `proximal` takes any smooth term and any regularizer
    sparse codes in a fixed time           the package `unrolled`: LISTA and its successors

All but `unrolled` return a `Solution(value, energy, steps, result, gap)`. Each family has one signature. The families
differ because each knows something else of the energy:

    descent             `minimizer(energy, start)`: the energy is differentiable, and nothing else is known of it
    search              `grid_search(energy, space)`: the space says where to look; no derivative is needed
    evolution           `asynchronous(params, spins, order)`: the energy is quadratic, and a spin that turns changes all
                        fields by one row of the couplings
    codes               `find(params, regularizer, y, start)`: the misfit is quadratic in the code, so that a solver
                        factorizes it or minimizes it exactly in one coefficient
    codes.proximal      `solver(smooth, regularizer, start, lipschitz)`: the energy is a sum, and only its first term
                        is differentiable; `codes.find_code.by_proximal` makes a `find` of it
    unrolled            `network(weights, y)`: K layers with weights that are learned; they return `Codes`

`outer_gradients` keeps derivatives out of the loops of minimizers.
"""

from ebmjax.minimize import codes, descent, evolution, outer_gradients, search, unrolled

__all__ = [
    "codes",
    "descent",
    "evolution",
    "outer_gradients",
    "search",
    "unrolled",
]
