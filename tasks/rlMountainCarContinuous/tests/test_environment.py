"""The grader's mountain car against that of gymnax, step by step."""

from __future__ import annotations

import importlib.util
import unittest

from places import load

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_GYMNAX = importlib.util.find_spec("gymnax") is not None
if HAS_NUMPY:
    import numpy as np

    environment = load("grader", "environment.py")

ROWS = 256


@unittest.skipUnless(HAS_NUMPY, "SKIPPED, not tested: numpy is not installed")
class MountainCarTest(unittest.TestCase):
    def setUp(self) -> None:
        self.random = np.random.default_rng(3)
        self.cars = environment.MountainCars(ROWS)
        self.cars.restart(np.ones(ROWS, dtype=bool), self.random.random((2, ROWS)))

    def test_begins_at_rest_in_the_valley(self) -> None:
        seen = self.cars.observe()
        self.assertEqual((seen.shape, seen.dtype), ((ROWS, 2), np.float32))
        self.assertTrue(((seen[:, 0] >= np.float32(-0.6)) & (seen[:, 0] <= np.float32(-0.4))).all())
        self.assertLess(seen[:, 0].min(), -0.58)
        self.assertGreater(seen[:, 0].max(), -0.42)
        self.assertFalse(seen[:, 1].any())

    def test_cost_is_that_of_the_unclipped_action(self) -> None:
        one = self.cars.observe()
        rewards, ended = self.cars.step(np.full(ROWS, 30.0), None)
        self.assertTrue(np.allclose(rewards, -90))
        self.assertFalse(ended.any())
        moved = self.cars.observe()[:, 1] - one[:, 1] + 0.0025 * np.cos(3 * one[:, 0])
        self.assertTrue(np.allclose(moved, 0.0015, atol=1e-7), "the force is that of the clipped action")

    def test_known_policies(self) -> None:
        """The sheet's own measurements: of the force in the direction of the velocity."""
        for force, want in ((0.0, 0.0), (0.6, 95.6), (1.0, 83.1)):
            with self.subTest(force=force):
                cars = environment.MountainCars(ROWS)
                cars.restart(np.ones(ROWS, dtype=bool), self.random.random((2, ROWS)))
                earned, under_way = np.zeros(ROWS), np.ones(ROWS, dtype=bool)
                for _ in range(200):
                    rewards, ended = cars.step(force * np.sign(cars.velocity + 1e-9), None)
                    earned += rewards * under_way
                    under_way &= ~ended
                self.assertAlmostEqual(earned.mean(), want, delta=1.0)

    def test_ends_at_its_own_limit(self) -> None:
        for _ in range(998):
            self.assertFalse(self.cars.step(np.zeros(ROWS), None)[1].any())
        self.assertTrue(self.cars.step(np.zeros(ROWS), None)[1].all())

    @unittest.skipUnless(HAS_GYMNAX, "SKIPPED, not tested: gymnax is not installed")
    def test_is_that_of_gymnax(self) -> None:
        import gymnax
        import jax
        from gymnax.environments.classic_control.continuous_mountain_car import EnvState

        env, params = gymnax.make("MountainCarContinuous-v0")
        step = jax.jit(jax.vmap(lambda state, action: env.step_env(jax.random.PRNGKey(0), state, action, params)))
        cars, goals = self.cars, 0
        # From everywhere, also from beside the goal and the walls.
        cars.position = self.random.uniform(-1.2, 0.6, ROWS).astype(np.float32)
        cars.velocity = self.random.uniform(-0.07, 0.07, ROWS).astype(np.float32)
        for number in range(400):
            push = np.where(np.arange(ROWS) % 2, np.sign(cars.velocity), 0)
            actions = (push + self.random.normal(0, 1.5, ROWS)).astype(np.float32)
            state = EnvState(position=cars.position, velocity=cars.velocity, time=cars.time)
            want_seen, _, want_rewards, want_ended, _ = step(state, actions)
            rewards, ended = cars.step(actions, None)
            np.testing.assert_allclose(cars.observe(), want_seen, atol=1e-6, err_msg=f"step {number}")
            np.testing.assert_allclose(rewards, want_rewards, rtol=1e-5, atol=1e-5, err_msg=f"step {number}")
            np.testing.assert_array_equal(ended, want_ended, err_msg=f"step {number}")
            goals += ended.sum()
            cars.restart(ended, self.random.random((2, ROWS)))
        self.assertGreater(goals, 100)


if __name__ == "__main__":
    unittest.main()
