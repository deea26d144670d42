"""Experiments on the horn, an ellipse whose radii depend on an observed x.

- `horn_data`: its training set. `horn`: training at zero temperature. `horn_sweep`: training at 16 temperatures.
- `horn_generalized`: a horn that learns the circle too.
- `trained_horns`: what `horn_data`, `horn` and `horn_sweep` share.
"""
