// Package episode turns the description of an episode ([Spec]: task, agent,
// seed, limits, sandbox) into one that runs: it loads the task, makes the agent,
// the environment and the run's manifest, runs the episode in a run's directory,
// and goes on with one that was cut.
//
// It is what `mlgym run` and an experiment have in common. Whoever calls it
// chooses the directory, shows the progress and says when to stop.
package episode
