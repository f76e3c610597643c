"""Play with policy.py and its checkpoints here: python evaluate.py [--environments N] [--steps N]

It prints the mean return of each checkpoint and of all, as they are scored, but with
public random numbers and on gymnax itself. `validate` does it with hidden ones.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import gymnax
import jax
import numpy as np
import policy as program
import yaml


def returns(loaded, env, params, environments, steps, seed):
    """The return of an episode in each environment, up to its end or so many steps."""
    reset = jax.jit(jax.vmap(env.reset, in_axes=(0, None)))
    advance = jax.jit(jax.vmap(env.step, in_axes=(0, 0, 0, None)))
    random = np.random.default_rng(seed)
    key = jax.random.PRNGKey(seed)
    obs, state = reset(jax.random.split(key, environments), params)
    total, under_way = np.zeros(environments), np.ones(environments, dtype=bool)
    for step in range(steps):
        action = program.act(loaded, np.asarray(obs, dtype=np.float32), int(random.integers(2**31)))
        keys = jax.random.split(jax.random.fold_in(key, step), environments)
        obs, state, reward, done, _ = advance(keys, state, np.asarray(action).reshape(environments), params)
        total += np.asarray(reward) * under_way
        under_way &= ~np.asarray(done)
    return total


def main():
    small = os.environ.get("MLGYM_VARIANT") == "small"
    config = yaml.safe_load(Path("config_small.yaml" if small else "config.yaml").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--steps", type=int, default=config["evaluation_steps"])
    options = parser.parse_args()
    env, params = gymnax.make(config["env_name"])
    everything = []
    for number in range(5):
        loaded = program.load(f"checkpoints/{number}.npz")
        everything.append(returns(loaded, env, params, options.environments, options.steps, seed=number))
        print(f"checkpoint {number}: mean return {everything[-1].mean():.3f}", flush=True)
    print(f"Reward Mean {np.mean(everything):.3f}  Reward Std {np.std(everything):.3f}")


if __name__ == "__main__":
    main()
