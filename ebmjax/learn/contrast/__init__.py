"""Learning by contrast: lower the energy at the data, raise it at samples of the model.

`contrastive.contrastive` is the one learner. It takes an energy and two phases, which say where the positions of the
data and of the model come from. The positive phase, the data:

    F of what is observed has a closed form           `phases.observed`
    hidden units are sampled                          `phases.contrastive_divergence`, with the data clamped
    hidden units are replaced by mean fields          `phases.variational`

The negative phase, the model:

    contrastive divergence: short runs from the data  `phases.contrastive_divergence`; quick and biased
    persistent chains                                 `phases.persistent`; nearly unbiased if learning is slow
    parallel tempering                                `phases.persistent_tempering`, where chains do not mix
    chains with restarts                              `replay.replay`, for energies that are networks

The other modules:

`boltzmann_phases`  both phases of Boltzmann machines with hidden and label units, and their exact free energy
`chains`            the chains that persistent phases keep
`centering`         a preconditioner of the gradient, for restricted Boltzmann machines
`greedy`            deep Boltzmann machines, pretrained layer by layer
"""

from ebmjax.learn.contrast import boltzmann_phases, centering, chains, contrastive, greedy, phases, replay

__all__ = [
    "boltzmann_phases",
    "centering",
    "chains",
    "contrastive",
    "greedy",
    "phases",
    "replay",
]
