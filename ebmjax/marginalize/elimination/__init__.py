"""Exact elimination: free energies, marginals, draws and ground states of units with few states on a graph.

    E(s) = Σ_i unary[i, s_i] + Σ_e pair[e, s_a(e), s_b(e)]

Units are summed out one by one, in an order that keeps the tables small: no table has more than 2^22 entries, so that
binary units are allowed on graphs of a width up to 21, such as a lattice of 21 by any number, and hundreds of units on
sparse graphs. Everything is exact at every beta in [0, inf].

    graph = graphs.from_matrix(W)                 # or from_edges, from_networkx
    plan = plans.plan(graph)                      # how, and plans.size(plan) says how large
    terms = factors.machine(plan, params, SPINS)  # or factors.binary, factors.potts, or arrays of your own
    exact.free_energy(plan, terms, beta)          # and log_partition, marginals, log_ground_states
    draws.sample(key, plan, terms, beta, 1000)    # and ground_state

`graphs`         that of the library: edges from a list, a networkx graph, a dense or a sparse matrix
`orders`         in which order units are summed out: the best of several orders
`plans`          the steps, the tables they need, and how large these are; too large ones are refused with the number
`factors`        the terms of the energy: of spins, bits, Potts states, Boltzmann machines
`exact`          free energies, log Z, marginals, the number of ground states
`draws`          independent draws at any temperature, and a ground state
`summing_out`    the free energy of one unit, for large tables
`tables`         the scan over all steps
"""

from ebmjax import graphs
from ebmjax.marginalize.elimination import draws, exact, factors, orders, plans, summing_out, tables

__all__ = ["draws", "exact", "factors", "graphs", "orders", "plans", "summing_out", "tables"]
