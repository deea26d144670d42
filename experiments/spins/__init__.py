"""Experiments on binary units: spins in {-1, 1} and units in {0, 1}.

- Hopfield networks: `hopfield_recall`, `hopfield_capacity`, `hopfield_spurious`.
- Boltzmann machines with couplings between all units: `boltzmann_annealing`, `boltzmann_learning`.
- Restricted and deep Boltzmann machines of pictures: `rbm`, `dbm`, `label_completion`; `restricted_machines` is what
  `rbm` and `label_completion` share.
"""
