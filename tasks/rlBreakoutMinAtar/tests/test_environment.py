"""The grader's Breakout against that of gymnax, step by step."""

from __future__ import annotations

import importlib.util
import unittest

from places import load

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_GYMNAX = importlib.util.find_spec("gymnax") is not None
if HAS_NUMPY:
    import numpy as np

    environment = load("grader", "environment.py")

ROWS = 128


@unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
class BreakoutTest(unittest.TestCase):
    def setUp(self) -> None:
        self.random = np.random.default_rng(3)
        self.games = environment.Breakouts(ROWS)
        self.games.restart(np.ones(ROWS, dtype=bool), self.random.random((2, ROWS)))

    def test_begins_on_either_side(self) -> None:
        seen = self.games.observe()
        self.assertEqual((seen.shape, seen.dtype), ((ROWS, 10, 10, 4), np.uint8))
        self.assertTrue((seen.sum(axis=(1, 2)) == [1, 1, 1, 30]).all())
        self.assertTrue(seen[:, 9, 4, 0].all())
        left = seen[:, 3, 0, 1].sum()
        self.assertTrue(ROWS * 0.3 < left < ROWS * 0.7, left)
        self.assertEqual(left + seen[:, 3, 9, 1].sum(), ROWS)

    def test_still_paddle(self) -> None:
        """From the left the ball passes it; from the right it comes from above the paddle."""
        left = self.games.x == 0
        still = np.zeros(ROWS, dtype=int)
        for _ in range(5):
            self.assertFalse(self.games.step(still, None)[1].any())
        rewards, ended = self.games.step(still, None)
        self.assertFalse(rewards.any())
        np.testing.assert_array_equal(ended, left)

    @unittest.skipUnless(HAS_GYMNAX, "SKIPPED, not tested: gymnax is not installed")
    def test_is_that_of_gymnax(self) -> None:
        import gymnax
        import jax
        import jax.numpy as jnp
        from gymnax.environments.minatar.breakout import EnvState

        env, params = gymnax.make("Breakout-MinAtar")
        key = jax.random.PRNGKey(0)
        step = jax.jit(jax.vmap(lambda state, action: env.step_env(key, state, action, params)))
        games = self.games

        def numbers(values: np.ndarray) -> jnp.ndarray:
            return jnp.array(values, dtype=jnp.int32)

        broken, most, laid, old = 0, 0, 0, 0
        score = np.zeros(ROWS)
        for number in range(2500):
            # Most follow the ball, so that games are long and all bricks go.
            follow = np.where(games.x < games.paddle, 1, np.where(games.x > games.paddle, 2, 0))
            actions = np.where(self.random.random(ROWS) < 0.03, self.random.integers(3, size=ROWS), follow)
            state = EnvState(
                ball_y=numbers(games.y),
                ball_x=numbers(games.x),
                ball_dir=numbers(games.direction),
                pos=numbers(games.paddle),
                brick_map=jnp.array(games.bricks, dtype=jnp.float32),
                strike=jnp.array(games.strike),
                last_y=numbers(games.last_y),
                last_x=numbers(games.last_x),
                time=numbers(games.time),
                terminal=jnp.zeros(ROWS, dtype=bool),
            )
            want_seen, want, want_rewards, want_ended, _ = step(state, actions)
            before = games.left.copy()
            rewards, ended = games.step(actions, None)
            np.testing.assert_array_equal(games.observe(), want_seen, err_msg=f"step {number}")
            np.testing.assert_array_equal(rewards, want_rewards, err_msg=f"step {number}")
            np.testing.assert_array_equal(ended, want_ended, err_msg=f"step {number}")
            np.testing.assert_array_equal(games.direction, want.ball_dir, err_msg=f"step {number}")
            np.testing.assert_array_equal(games.strike, want.strike, err_msg=f"step {number}")
            np.testing.assert_array_equal(games.left, games.bricks.sum(axis=(1, 2)), err_msg=f"step {number}")
            score = score + rewards
            broken, most = broken + rewards.sum(), max(most, score.max())
            laid += (games.left > before).sum()
            old += (games.time >= environment.LIMIT).sum()
            score[ended] = 0
            games.restart(ended, self.random.random((2, ROWS)))
        self.assertGreater(broken, 1000)
        self.assertGreater(most, 20)
        print(f"breakout: {broken:g} bricks, at most {most:g} in a game, {laid} new walls, {old} games to the limit")


if __name__ == "__main__":
    unittest.main()
