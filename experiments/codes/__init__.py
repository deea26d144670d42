"""Experiments on sparse codes and dictionaries.

- Dictionaries of patches and digits: `natural_patches` (with `gabor`, the fit of Gabor functions), `million_patches`,
  `sparse_mnist`; `learned_dictionaries` is what they and `few_labels` share.
- Convolutional kernels: `convolutional_filters`, `convolutional_color`; `learned_kernels` is what they share.
- Fast inference: `lista` (with `unrolled_networks`).
- Codes as features: `few_labels` (with `features` and `classifiers`).
"""
