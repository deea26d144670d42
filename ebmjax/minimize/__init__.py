"""Minimize (cold, beta = inf): the unknown of least energy.

Everything here answers with a `Solution(value, energy, steps, result, gap)`. Which one to take:

a smooth energy, one valley          `descent.newton` for few unknowns, `descent.gradient_descent` for many
several valleys, one or two unknowns  `search.refined_search`: a grid, then descent from its best points
a space that can be enumerated       `search.grid_search`
spins of a Hopfield network          `evolution`: one spin at a time, or all at once
sparse codes                         the folder `codes`: `coordinate` is the fastest for one dictionary and many
                                     observations, `proximal` takes any smooth term and any regularizer
sparse codes in a fixed time         the folder `unrolled`: LISTA and its successors

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
