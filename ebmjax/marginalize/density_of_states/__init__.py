"""The density of states g(E) of a discrete energy: log Z at every inverse temperature, negative too, from one run.

    Z(beta) = Σ_E g(E) exp(-beta E)

Walkers draw from 1/g(E), the law in which all energies are equally likely. They travel between the two phases of a
first-order transition, where chains at one temperature, tempering and annealing stay in one of them.

    model = models.ising(params, (32, 32))              # or models.potts, models.general
    levels = jnp.arange(-2048.0, 2049.0, 4.0)           # the energies, or bins of them
    density = multicanonical.density_of_states(key, model, levels, walkers=128, learning=4000, sweeps=4000)
    thermal.log_partition(density, beta)                # and at: mean energy, heat capacity; energy_law

`models`           discrete energies, by the energies of one unit's values given its neighbours
`wang_landau`      weights with which all energies are equally likely
`multicanonical`   log g(E) with standard errors, from a run with fixed weights; both in one call
`thermal`          what it says at one inverse temperature
`walkers`          one sweep of all walkers
"""

from ebmjax.marginalize.density_of_states import models, multicanonical, thermal, walkers, wang_landau

__all__ = ["models", "multicanonical", "thermal", "walkers", "wang_landau"]
