"""Comparisons of samplers on laws whose moments are known.

`sampler_league` is the experiment. `league_laws` has its problems, `players` its samplers, `league_scores` what is
measured and drawn. `references` makes and reads the moments of laws that only a long run knows.
"""
