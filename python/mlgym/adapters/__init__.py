"""Adapters for trainers, each a module that needs its trainer installed.

`mlgym.adapters.trl` is for TRL's GRPOTrainer, `mlgym.adapters.verl` and
`mlgym.adapters.verl_loop` for veRL, `mlgym.adapters.skyrl` for SkyRL. Verifiers,
OpenEnv and NeMo Gym need none: they speak to `mlgym serve` by themselves.

Nothing is imported here, so that one of them works where the others' trainers are
not installed.
"""
