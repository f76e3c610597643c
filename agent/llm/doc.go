// Package llm is an agent made of a language model and a scaffold.
//
// One call of [Agent.Act] renders the episode so far, asks the model, and reads
// the answer. A malformed answer is asked for again with the rules of the
// format; those exchanges are recorded and then forgotten, so they do not stay
// in the history. Limits are checked before a request that could exceed them is
// sent.
//
// # How an episode ends
//
// A decision to stop is a Turn with Stop set: [gym.CauseFormat] after the last
// malformed answer, [gym.CauseContext] when the history has outgrown the model,
// [gym.CauseCost], [gym.CauseTokens] and [gym.CauseTime] before a limit would be
// passed, [gym.CauseAPI] when the provider refuses for good. A server that
// cannot be reached (after the retries, which are a wrapper's job), and a budget
// shared with other episodes that is used up ([model.ErrBudget]), are errors:
// the agent then stands where it stood before the call, Act may be called again
// with the same observation, and a record of the run can be resumed.
//
// # Several calls in one answer
//
// With function calls, a model may ask for several at once. The first is run and
// the others are answered with "Not run: one call at a time", so that every step
// of the environment is one decision made with the last output in sight.
//
// The agent is deterministic given the model's answers.
package llm
