package mlgym

import (
	"errors"
	"io"
)

// Field says which parts of a step are wanted. What is not wanted is not
// decoded.
type Field uint

// The parts of a step that cost something to decode. The action is always read.
const (
	// FieldObservation asks for what the environment answered.
	FieldObservation Field = 1 << iota
	// FieldState asks for the open file and the working directory.
	FieldState
	// FieldHead asks for the first few hundred bytes of the observation only.
	FieldHead
	// FieldThought asks for what the agent wrote before its action.
	FieldThought
)

// headBytes is how much of an observation FieldHead decodes.
const headBytes = 400

// Step is one step of an episode. Its texts are valid only during the call
// that hands them over.
type Step struct {
	// Number counts from 1.
	Number int
	// Action is the text that the agent sent; empty where the file has none.
	Action      []byte
	Observation []byte
	Thought     []byte
	// OpenFile and WorkingDir are as they were before the action; "n/a" and
	// absent values are empty.
	OpenFile, WorkingDir []byte
	// Seconds the action took; 0 where the file does not say.
	Seconds float64

	state []byte
	inner *scanner
}

// Usage is what the agent's model used, as the run recorded it.
type Usage struct {
	// HasTokens says that the record holds a count of tokens sent.
	HasTokens                   bool
	TokensSent, TokensReceived  float64
	APICalls, RecordedCostTotal float64
}

// Trailer is what a record says of the whole run.
type Trailer struct {
	// ExitStatus as recorded; HasExitStatus is false where it is absent, null
	// or not a text.
	ExitStatus    string
	HasExitStatus bool
	// LastAction is the action of the last assistant turn in the history, as
	// recorded, which may be one that was never executed to its end.
	LastAction    string
	HasLastAction bool
	// Statement is what the agent was told first, after what it was told of itself:
	// the task. Empty where the history does not begin so.
	Statement  string
	Submission string
	Usage      Usage
	Steps      int
	// HasTrajectory and HasInfo say which of the parts the file holds.
	HasTrajectory, HasInfo bool
}

// ReadTraj reads a .traj file, calling visit (which may be nil) for each step.
// The error says that the text is no such file, or is cut short; steps before
// the fault have been visited by then.
func ReadTraj(r io.Reader, want Field, visit func(*Step) error) (Trailer, error) {
	s := newScanner()
	s.reset(r)
	return readTraj(s, want, visit)
}

func readTraj(s *scanner, want Field, visit func(*Step) error) (Trailer, error) {
	var t Trailer
	var step Step
	var room []byte
	err := s.object(func(key []byte) error {
		var err error
		switch string(key) {
		case "trajectory":
			t.Steps = 0
			err = s.array(func(i int) error {
				t.Steps = i + 1
				if err := readStep(s, &step, i+1, want); err != nil {
					return err
				}
				if visit == nil {
					return nil
				}
				return visit(&step)
			})
			t.HasTrajectory = err == nil
		case "history":
			t.HasLastAction, t.Statement = false, ""
			opening := true // nobody has answered yet
			err = s.array(func(int) error {
				var assistant, user, found bool
				content := ""
				err := lenient(s.object(func(key []byte) error {
					var err error
					switch string(key) {
					case "role":
						room, err = s.text(room[:0])
						assistant, user = err == nil && string(room) == "assistant", err == nil && string(room) == "user"
						return lenient(err)
					case "content":
						if !opening {
							return s.skip()
						}
						var text []byte
						text, err = s.text(nil)
						content = string(text)
						return lenient(err)
					case "action":
						room, err = s.text(room[:0])
						if err == nil {
							// Kept even before the role is known: the order
							// of keys varies.
							found, step.state = true, append(step.state[:0], room...)
						}
						return lenient(err)
					}
					return s.skip()
				}))
				if user && opening {
					t.Statement = content // the last one, after demonstrations
				}
				if assistant {
					opening = false
					t.HasLastAction = true
					t.LastAction = ""
					if found {
						t.LastAction = string(step.state)
					}
				}
				return err
			})
		case "info":
			err = readInfo(s, &t)
			t.HasInfo = err == nil
		default:
			return s.skip()
		}
		return lenient(err)
	})
	if errors.Is(err, errShape) {
		return t, errors.New("the text is not an object")
	}
	if err == nil {
		err = s.done()
	}
	if err == nil && !t.HasTrajectory && !t.HasInfo {
		err = errors.New("neither trajectory nor info is there")
	}
	return t, err
}

// lenient forgives a value of an unexpected type, which has been consumed.
func lenient(err error) error {
	if errors.Is(err, errShape) {
		return nil
	}
	return err
}

func readStep(s *scanner, step *Step, number int, want Field) error {
	step.Number, step.Seconds = number, 0
	step.Action, step.Observation, step.Thought = step.Action[:0], step.Observation[:0], step.Thought[:0]
	step.OpenFile, step.WorkingDir = step.OpenFile[:0], step.WorkingDir[:0]
	return lenient(s.object(func(key []byte) error {
		var err error
		switch string(key) {
		case "action":
			step.Action, err = s.text(step.Action[:0])
		case "observation":
			switch {
			case want&FieldObservation != 0:
				step.Observation, err = s.text(step.Observation[:0])
			case want&FieldHead != 0:
				step.Observation, err = s.head(step.Observation[:0], headBytes)
			default:
				return s.skip()
			}
		case "thought":
			if want&FieldThought == 0 {
				return s.skip()
			}
			step.Thought, err = s.text(step.Thought[:0])
		case "state":
			if want&FieldState == 0 {
				return s.skip()
			}
			step.state, err = s.text(step.state[:0])
			if err == nil {
				step.readState()
			}
		case "execution_time":
			step.Seconds, err = s.number()
		default:
			return s.skip()
		}
		return lenient(err)
	}))
}

// readState reads the JSON text inside the state; a state that cannot be read
// is an empty one, as after a command that broke the shell.
func (st *Step) readState() {
	if st.inner == nil {
		st.inner = &scanner{buf: make([]byte, 1<<10)}
	}
	st.inner.reset(&byteReader{st.state})
	s := st.inner
	_ = s.object(func(key []byte) error {
		var err error
		switch string(key) {
		case "open_file":
			st.OpenFile, err = s.text(st.OpenFile[:0])
		case "working_dir":
			st.WorkingDir, err = s.text(st.WorkingDir[:0])
		default:
			return s.skip()
		}
		return lenient(err)
	})
	if string(st.OpenFile) == "n/a" {
		st.OpenFile = st.OpenFile[:0]
	}
	if string(st.WorkingDir) == "n/a" {
		st.WorkingDir = st.WorkingDir[:0]
	}
}

type byteReader struct{ rest []byte }

func (b *byteReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func readInfo(s *scanner, t *Trailer) error {
	return s.object(func(key []byte) error {
		switch string(key) {
		case "exit_status":
			text, err := s.text(nil)
			if err == nil {
				t.ExitStatus, t.HasExitStatus = string(text), true
			}
			return lenient(err)
		case "submission":
			text, err := s.text(nil)
			if err == nil {
				t.Submission = string(text)
			}
			return lenient(err)
		case "model_stats":
			return lenient(s.object(func(key []byte) error {
				var to *float64
				switch string(key) {
				case "tokens_sent":
					to = &t.Usage.TokensSent
				case "tokens_received":
					to = &t.Usage.TokensReceived
				case "api_calls":
					to = &t.Usage.APICalls
				case "total_cost":
					to = &t.Usage.RecordedCostTotal
				default:
					return s.skip()
				}
				x, err := s.number()
				if err != nil {
					return lenient(err)
				}
				*to = x
				if to == &t.Usage.TokensSent {
					t.Usage.HasTokens = true
				}
				return nil
			}))
		}
		return s.skip()
	})
}
