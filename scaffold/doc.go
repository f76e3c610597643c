// Package scaffold describes what surrounds a language model: prompt
// templates, demonstrations, the history policy, the output format and the
// tools on offer.
//
// A [Scaffold] is decoded from a strict YAML file ([Decode], [Open]); the
// format is documented in docs/format/scaffold.md. It renders the messages that
// a model is sent and reads the answer back into a [gym.Action]. It does not
// talk to a model itself, keeps no state and is safe for concurrent use.
package scaffold
