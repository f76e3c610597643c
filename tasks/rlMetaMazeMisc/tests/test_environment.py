"""The grader's maze against that of gymnax, step by step."""

from __future__ import annotations

import importlib.util
import unittest

from places import load

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_GYMNAX = importlib.util.find_spec("gymnax") is not None
if HAS_NUMPY:
    import numpy as np

    environment = load("grader", "environment.py")

ROWS = 512


@unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
class MetaMazeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.random = np.random.default_rng(3)
        self.mazes = environment.MetaMazes(ROWS)
        self.mazes.restart(np.ones(ROWS, dtype=bool), self.random.random((2, ROWS)))

    def test_layout(self) -> None:
        self.assertEqual(len(environment.FREE), 65)
        self.assertTrue(all(environment.WALLS[y, x] for y in range(0, 11, 2) for x in range(0, 11, 2)))
        self.assertFalse(environment.WALLS[5, 5])

    def test_goals_and_places_are_uniform(self) -> None:
        cells = environment._free((np.arange(6500) + 0.5) / 6500)
        _, counts = np.unique(cells, axis=0, return_counts=True)
        self.assertEqual(counts.tolist(), [100] * 65)
        self.assertEqual(environment._free(np.array([0.0, 1 - 2.0**-53])).tolist(), [[1, 1], [9, 9]])

    def test_first_observation(self) -> None:
        seen = self.mazes.observe()
        self.assertEqual((seen.shape, seen.dtype), ((ROWS, 15), np.float32))
        pillars = [1, 0, 1, 0, 0, 0, 1, 0, 1]
        self.assertTrue((seen == [*pillars, 1, 0, 0, 0, 0, 0]).all())

    def test_goal_pays_and_the_way_goes_on(self) -> None:
        self.mazes.goal[:] = (5, 6)
        draws = np.full((2, ROWS), 0.999)
        rewards, ended = self.mazes.step(np.full(ROWS, 1), draws)
        self.assertTrue((rewards == 10).all())
        self.assertFalse(ended.any(), "the goal does not end the episode")
        self.assertTrue((self.mazes.position == 9).all())
        self.assertTrue((self.mazes.observe()[:, 13] == 10).all())

    def test_ends_if_the_random_cell_is_the_goal(self) -> None:
        self.mazes.goal[:] = (5, 6)
        index = np.flatnonzero((environment.FREE == (5, 6)).all(axis=1))[0]
        _, ended = self.mazes.step(np.full(ROWS, 1), np.full((2, ROWS), (index + 0.5) / 65))
        self.assertTrue(ended.all())

    @unittest.skipUnless(HAS_GYMNAX, "SKIPPED, not tested: gymnax is not installed")
    def test_is_that_of_gymnax(self) -> None:
        import gymnax
        import jax
        import jax.numpy as jnp
        from gymnax.environments.misc.meta_maze import EnvState

        env, params = gymnax.make("MetaMaze-misc")
        np.testing.assert_array_equal(env.coords, environment.FREE)
        step = jax.jit(jax.vmap(lambda key, state, action: env.step_env(key, state, action, params)))
        mazes, goals, early = self.mazes, 0, 0
        mazes.position = environment.FREE[self.random.integers(65, size=ROWS)]
        for number in range(400):
            actions = self.random.integers(4, size=ROWS)
            state = EnvState(
                last_action=jnp.array(mazes.action),
                last_reward=jnp.array(mazes.reward),
                pos=jnp.array(mazes.position),
                goal=jnp.array(mazes.goal),
                time=jnp.array(mazes.time, dtype=jnp.float32),
            )
            keys = jax.random.split(jax.random.PRNGKey(number), ROWS)
            want_seen, next_state, want_rewards, want_ended, _ = step(keys, state, actions)
            # The random cell is that of gymnax.
            places = np.array(next_state.pos)
            cells = (places[:, None] == environment.FREE[None]).all(axis=2).argmax(axis=1)
            draws = np.stack([self.random.random(ROWS), (cells + 0.5) / 65])
            rewards, ended = mazes.step(actions, draws)
            np.testing.assert_array_equal(mazes.observe(), want_seen, err_msg=f"step {number}")
            np.testing.assert_array_equal(rewards, want_rewards, err_msg=f"step {number}")
            np.testing.assert_array_equal(ended, want_ended, err_msg=f"step {number}")
            np.testing.assert_array_equal(mazes.position, places, err_msg=f"step {number}")
            goals += (rewards > 0).sum()
            early += (ended & (mazes.time < environment.LIMIT)).sum()
            mazes.restart(ended, draws)
        self.assertGreater(goals, 500)
        self.assertGreater(early, 5)


if __name__ == "__main__":
    unittest.main()
