"""Learning by contrast: lower the energy at the data, raise it at samples of the model.

`contrastive`       the learner: two phases and an optimizer
`phases`            where positions come from: the data, contrastive divergence, persistent chains, tempering, mean
                    fields
`replay`            a phase of persistent chains with restarts, for energies that are networks
`boltzmann_phases`  the phases of Boltzmann machines with hidden and label units
`centering`         a preconditioner for restricted Boltzmann machines
`greedy`            deep Boltzmann machines, pretrained layer by layer
"""

from ebmjax.learn.contrast import boltzmann_phases, centering, contrastive, greedy, phases, replay

__all__ = [
    "boltzmann_phases",
    "centering",
    "contrastive",
    "greedy",
    "phases",
    "replay",
]
