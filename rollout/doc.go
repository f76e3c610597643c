// Package rollout runs one episode: reset, then turns of an agent and steps of
// an environment until one of them or a limit ends it, everything recorded as
// it happens. It resumes an episode that was cut, and replays a recorded one.
//
// # How an episode ends
//
//	what happened                      what is done                     exit status
//	a transition is done               nothing more                     the environment's
//	the agent's turn says Stop         Finish with that cause           the environment's
//	Limits.MaxSteps actions ran        Finish with gym.CauseSteps       the environment's
//	Limits.Wall is over                Finish with gym.CauseTime        the environment's
//	Act returned an error              a fault is recorded, no grading  unknown_error until resumed
//	Reset, Step or Finish did          a fault and an end are recorded  early_exit
//	the context was cancelled          a fault is recorded, no grading  unknown_error until resumed
//	the record could not be written    nothing more can be recorded     unknown_error until resumed
//
// In the last four cases [Run] returns an error beside the outcome, and the
// record can be resumed.
package rollout
