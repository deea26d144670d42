"""Experiments on energies that are neural networks, and on their samplers.

- Densities of the plane: `sampler_walk` (samplers of a known energy), `neural_density` (with `learned_densities`),
  `composition`.
- Variational autoencoders of pictures: `vae`, `fuzzy_balls`; `autoencoders` is what they share.
- Pictures of digits: `neural_digits`, with its energy in `digit_energies`.
"""
