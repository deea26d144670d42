"""Comparisons of samplers on laws whose moments are known, and of solvers on glasses whose ground states are known.

`sampler_league`, `spin_league` and `ground_states` are the experiments. Their problems are in `league_laws`,
`spin_laws` and `ground_problems`; who plays is in `players`, `spin_players` and `ground_solvers`. `league_runs` lets
all play on all, `league_scores` says what is measured and drawn, and `league_records` keeps what full runs have
measured. `references` makes and reads moments that take long to compute.
"""
