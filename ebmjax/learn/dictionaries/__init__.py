"""Dictionaries of sparse codes, as learners.

`dictionary`                 of vectors: online, alternating, or by gradient descent
`convolutional_dictionary`   kernels of pictures, alone or with an encoder
`predictive_decomposition`   a dictionary and an encoder that predicts the codes, learned together
"""

from ebmjax.learn.dictionaries import convolutional_dictionary, dictionary, predictive_decomposition

__all__ = [
    "convolutional_dictionary",
    "dictionary",
    "predictive_decomposition",
]
