"""The ids of Gymnasium under which the tasks that ship are registered.

This module imports little, since Gymnasium loads it whenever it is imported
itself.
"""

from gymnasium.envs import registration

TASKS = (
    "3SATTime",
    "battleOfSexes",
    "blotto",
    "imageCaptioningCOCO",
    "imageClassificationCifar10",
    "imageClassificationFMnist",
    "languageModelingFineWeb",
    "naturalLanguageInferenceMNLI",
    "prisonersDilemma",
    "regressionKaggleHousePrice",
    "rlBreakoutMinAtar",
    "rlMetaMazeMisc",
    "rlMountainCarContinuous",
    "titanic",
)
"""The tasks that ship with mlgym, as `mlgym task list` names them."""

NONDETERMINISTIC = frozenset({"3SATTime"})
"""Those whose score is a time, so that equal seeds and actions give unequal rewards."""


def env_id(task: str) -> str:
    """Returns the id of a task: mlgym/battleOfSexes-v0."""
    return f"mlgym/{task}-v0"


def register() -> None:
    """Registers each task, once."""
    for task in TASKS:
        if env_id(task) not in registration.registry:
            registration.register(
                id=env_id(task),
                entry_point="mlgym.gym:MlgymEnv",
                vector_entry_point="mlgym.vector:MlgymVectorEnv",
                nondeterministic=task in NONDETERMINISTIC,
                kwargs={"task": task},
            )
