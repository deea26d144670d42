"""Experiments on an ellipse as the manifold of an energy, whose latent variable is an angle.

- `ellipse_inference`: free energies at all temperatures. `ellipse_training` (with its parts `collapse` and `contrast`):
  training at all temperatures, and with contrasting samples.
- `coins` and `fit`: ellipses fitted to real data.
- `latent_collapse`: what happens when the latent variable has too many dimensions.
"""
