"""Train five policies with PPO: python train.py [--config FILE] [--steps N]

Without --config it reads config.yaml, or config_small.yaml in the small variant.
Each run is a training of its own; the weights go to checkpoints/0.npz ... 4.npz,
which policy.py loads. Everything of a training is one compiled program: the
environments, the rollouts and the updates.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import yaml

MIN_SCALE = 0.001  # of the normal distribution of a continuous action


# Networks: an actor and a critic, two separate MLPs. Weights are lists of (w, b).


def init_mlp(key, sizes):
    """He-normal weights, and small uniform biases; the last layer begins near zero."""
    layers = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        key, w_key, b_key = jax.random.split(key, 3)
        gain = np.sqrt(2 / fan_in) if i < len(sizes) - 2 else np.sqrt(0.01 / fan_in)
        w = gain * jax.random.normal(w_key, (fan_in, fan_out))
        layers.append((w, 0.05 * jax.random.uniform(b_key, (fan_out,))))
    return layers


def mlp(layers, x):
    """ReLU between the layers."""
    for w, b in layers[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


class Categorical:
    """Discrete actions."""

    def __init__(self, space):
        self.outputs = space.n

    def sample(self, key, logits):
        return jax.random.categorical(key, logits)

    def log_prob(self, logits, action):
        return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]

    def entropy(self, logits):
        log_p = jax.nn.log_softmax(logits)
        return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)


class Normal:
    """One continuous action, with a scale that depends on the state."""

    def __init__(self, space):
        self.outputs = 2

    def split(self, out):
        return out[..., 0], jax.nn.softplus(out[..., 1]) + MIN_SCALE

    def sample(self, key, out):
        mean, scale = self.split(out)
        return mean + scale * jax.random.normal(key, mean.shape)

    def log_prob(self, out, action):
        mean, scale = self.split(out)
        return -0.5 * ((action - mean) / scale) ** 2 - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)

    def entropy(self, out):
        return 0.5 * jnp.log(2 * jnp.pi * jnp.e) + jnp.log(self.split(out)[1])


# PPO


class Step(NamedTuple):
    """What is kept of a step of all environments."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


class Run(NamedTuple):
    """A training under way."""

    weights: dict
    optimizer: optax.OptState
    env_state: object
    obs: jax.Array
    key: jax.Array


class Trainer:
    """PPO of one environment with one configuration."""

    def __init__(self, config):
        self.c = config
        self.env, self.env_params = gymnax.make(config["env_name"])
        space = self.env.action_space(self.env_params)
        self.distribution = Categorical(space) if hasattr(space, "n") else Normal(space)
        # Observations are multiplied by it; save puts it into the weights.
        self.scale = np.asarray(config["network_config"].get("input_scale", 1.0), dtype=np.float32)
        self.batch = config["num_train_envs"] * config["n_steps"]
        self.updates = max(1, config["num_train_steps"] // self.batch)
        optimizer_steps = self.updates * config["epoch_ppo"] * config["n_minibatch"]
        rate = optax.linear_schedule(
            config["lr_begin"], config["lr_end"], transition_steps=max(1, int(config["lr_warmup"] * optimizer_steps))
        )
        self.optimizer = optax.chain(
            optax.clip_by_global_norm(config["max_grad_norm"]), optax.adam(rate, eps=config.get("adam_eps", 1e-5))
        )

    def begin(self, key):
        """New weights, new environments."""
        key, actor_key, critic_key, env_key = jax.random.split(key, 4)
        obs, env_state = self.reset(env_key, self.c["num_train_envs"])
        net = self.c["network_config"]
        hidden = [net["num_hidden_units"]] * net["num_hidden_layers"]
        inputs = int(np.prod(obs.shape[1:]))
        weights = {
            "actor": init_mlp(actor_key, [inputs, *hidden, self.distribution.outputs]),
            "critic": init_mlp(critic_key, [inputs, *hidden, 1]),
        }
        return Run(weights, self.optimizer.init(weights), env_state, obs, key)

    def reset(self, key, count):
        """Observations of new episodes, flat, and the state of the environments."""
        obs, state = jax.vmap(self.env.reset, in_axes=(0, None))(jax.random.split(key, count), self.env_params)
        return obs.reshape(count, -1) * self.scale, state

    def step(self, key, state, action):
        """One step of all environments; those that end begin anew."""
        keys = jax.random.split(key, len(action))
        obs, state, reward, done, _ = jax.vmap(self.env.step, in_axes=(0, 0, 0, None))(
            keys, state, action, self.env_params
        )
        return obs.reshape(len(action), -1) * self.scale, state, reward, done

    @partial(jax.jit, static_argnums=0)
    def train(self, run, updates):
        """Do so many updates."""
        return jax.lax.fori_loop(0, updates, lambda _, r: self.update(r), run)

    def update(self, run):
        """Collect a batch of steps and learn from it."""
        run, steps = jax.lax.scan(self.collect, run, None, self.c["n_steps"])
        last_value = mlp(run.weights["critic"], run.obs)[:, 0]
        advantage = self.advantages(steps, last_value)
        # [n_steps, environments, ...] becomes [batch, ...].
        data = jax.tree.map(lambda x: x.reshape(self.batch, *x.shape[2:]), (steps, advantage, advantage + steps.value))

        def epoch(carry, key):
            order = jax.random.permutation(key, self.batch)
            parts = jax.tree.map(lambda x: x[order].reshape(self.c["n_minibatch"], -1, *x.shape[1:]), data)
            return jax.lax.scan(self.learn, carry, parts)

        key, *keys = jax.random.split(run.key, self.c["epoch_ppo"] + 1)
        (weights, optimizer), _ = jax.lax.scan(epoch, (run.weights, run.optimizer), jnp.array(keys))
        return run._replace(weights=weights, optimizer=optimizer, key=key)

    def collect(self, run, _):
        """Take one step in all environments."""
        key, action_key, step_key = jax.random.split(run.key, 3)
        out = mlp(run.weights["actor"], run.obs)
        value = mlp(run.weights["critic"], run.obs)[:, 0]
        action = self.distribution.sample(action_key, out)
        log_prob = self.distribution.log_prob(out, action)
        obs, env_state, reward, done = self.step(step_key, run.env_state, action)
        kept = Step(run.obs, action, log_prob, value, reward, done)
        return run._replace(env_state=env_state, obs=obs, key=key), kept

    def advantages(self, steps, last_value):
        """Generalised advantage estimation."""

        def back(carry, step):
            advantage, next_value = carry
            goes_on = 1.0 - step.done
            delta = step.reward + self.c["gamma"] * next_value * goes_on - step.value
            advantage = delta + self.c["gamma"] * self.c["gae_lambda"] * goes_on * advantage
            return (advantage, step.value), advantage

        return jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True)[1]

    def learn(self, carry, part):
        """One step of the optimiser on a minibatch."""
        weights, optimizer = carry
        gradients = jax.grad(self.loss)(weights, *part)
        changes, optimizer = self.optimizer.update(gradients, optimizer)
        return (optax.apply_updates(weights, changes), optimizer), None

    def loss(self, weights, steps, advantage, target):
        """The clipped objective, the clipped loss of the critic, and the entropy."""
        clip = self.c["clip_eps"]
        out = mlp(weights["actor"], steps.obs)
        value = mlp(weights["critic"], steps.obs)[:, 0]
        ratio = jnp.exp(self.distribution.log_prob(out, steps.action) - steps.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage).mean()
        near = steps.value + jnp.clip(value - steps.value, -clip, clip)
        critic = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
        entropy = self.distribution.entropy(out).mean()
        return -gain + self.c["critic_coeff"] * critic - self.c["entropy_coeff"] * entropy

    @partial(jax.jit, static_argnums=0)
    def evaluate(self, weights, key):
        """The mean return of sampled episodes, as it is scored: up to evaluation_steps steps."""
        key, reset_key = jax.random.split(key)
        obs, state = self.reset(reset_key, self.c["num_test_rollouts"])

        def step(carry, key):
            obs, state, open_, total = carry
            action_key, step_key = jax.random.split(key)
            action = self.distribution.sample(action_key, mlp(weights["actor"], obs))
            obs, state, reward, done = self.step(step_key, state, action)
            return (obs, state, open_ * (1.0 - done), total + open_ * reward), None

        begin = (obs, state, jnp.ones(len(obs)), jnp.zeros(len(obs)))
        (_, _, _, total), _ = jax.lax.scan(step, begin, jax.random.split(key, self.c["evaluation_steps"]))
        return total.mean()


def save(path, weights, scale):
    """Write the weights as plain arrays: actor_w0, actor_b0, actor_w1 ... critic_b2."""
    arrays = {}
    for net, layers in weights.items():
        for i, (w, b) in enumerate(layers):
            w = np.asarray(w) if i else np.asarray(w) * scale.reshape(-1, 1)  # for observations as they are
            arrays[f"{net}_w{i}"], arrays[f"{net}_b{i}"] = w, np.asarray(b)
    np.savez(path, **arrays)


def main():
    small = os.environ.get("MLGYM_VARIANT") == "small"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("config_small.yaml" if small else "config.yaml"))
    parser.add_argument("--steps", type=int, help="num_train_steps, in place of the file's")
    parser.add_argument("--runs", type=int, nargs="*", default=list(range(5)), help="which of the runs 0 to 4")
    options = parser.parse_args()
    config = yaml.safe_load(options.config.read_text())
    if options.steps is not None:
        config["num_train_steps"] = options.steps

    trainer = Trainer(config)
    between = max(1, config["evaluate_every_epochs"] // config["n_steps"])  # updates between evaluations
    Path("checkpoints").mkdir(exist_ok=True)
    for number in options.runs:
        began = time.monotonic()
        key = jax.random.fold_in(jax.random.PRNGKey(config["seed"]), number)
        key, run_key = jax.random.split(key)
        run, done = trainer.begin(run_key), 0
        while done < trainer.updates:
            count = min(between, trainer.updates - done)
            run, done = trainer.train(run, count), done + count
            mean = float(trainer.evaluate(run.weights, jax.random.fold_in(key, done)))
            seconds = time.monotonic() - began
            print(
                f"run {number}: {done * trainer.batch:>10,} steps  mean return {mean:8.2f}  {seconds:6.1f} s",
                flush=True,
            )
        save(f"checkpoints/{number}.npz", run.weights, trainer.scale)


if __name__ == "__main__":
    main()
