package budget

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// version of the file.
const version = 1

// most is the largest amount, in billionths of a dollar and in tokens: what any
// reader of JSON can hold exactly. It is 9 million dollars.
const most = 1 << 53

// state is the file's content.
type state struct {
	Version int `json:"version"`
	// Changes counts the writings of the file.
	Changes int64 `json:"changes"`
	// Limits are 0 where there is none.
	Limits amount `json:"limits"`
	// Settled requests.
	Settled tally `json:"settled"`
	// Open reservations, and those of holders that died.
	Open []entry `json:"open"`
}

// amount of money and tokens.
type amount struct {
	NanoUSD int64 `json:"nano_usd"`
	Tokens  int64 `json:"tokens"`
}

// tally is a sum over requests.
type tally struct {
	amount

	Requests int64 `json:"requests"`
	// Unpriced requests are part of Requests and not of the money.
	Unpriced int64 `json:"unpriced"`
}

// entry is a reservation that is not settled.
type entry struct {
	ID     string `json:"id"`
	Holder string `json:"holder"`
	charge

	Since time.Time `json:"since"`
	// Presumed says that the holder died, and that this counts as spent. It is
	// kept, since a holder may live after all.
	Presumed bool `json:"presumed,omitempty"`
}

// charge is an amount whose price may be unknown.
type charge struct {
	amount

	Unpriced bool `json:"unpriced,omitempty"`
}

func (t tally) plus(c charge) tally {
	t.NanoUSD += c.NanoUSD
	t.Tokens += c.Tokens
	t.Requests++
	if c.Unpriced {
		t.Unpriced++
	}
	return t
}

// sums returns what is spent, the part of it that is presumed, and what is set
// aside beside it.
func (s *state) sums() (spent, presumed tally, reserved amount) {
	spent = s.Settled
	for _, e := range s.Open {
		if e.Presumed {
			spent, presumed = spent.plus(e.charge), presumed.plus(e.charge)
			continue
		}
		reserved.NanoUSD += e.NanoUSD
		reserved.Tokens += e.Tokens
	}
	return spent, presumed, reserved
}

// nano turns dollars into billionths.
func nano(usd float64) (int64, error) {
	n := math.Round(usd * 1e9)
	if !(n >= 0 && n <= most) { // also not a number
		return 0, fmt.Errorf("$%v is no amount between 0 and %d dollars", usd, most/1_000_000_000)
	}
	return int64(n), nil
}

func dollars(nano int64) float64 { return float64(nano) / 1e9 }

// decode reads the file, strictly.
func decode(data []byte) (*state, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if head.Version != version {
		return nil, fmt.Errorf("it has version %d, and this mlgym reads version %d", head.Version, version)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var s state
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is damaged: something follows its end")
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	return &s, nil
}

// check finds what no sequence of changes leads to.
func (s *state) check() error {
	if s.Changes < 0 {
		return fmt.Errorf("changes is %d", s.Changes)
	}
	amounts := []struct {
		what string
		amount
	}{{"limits", s.Limits}, {"settled", s.Settled.amount}}
	ids := map[string]bool{}
	for _, e := range s.Open {
		if e.ID == "" || e.Holder == "" || ids[e.ID] {
			return fmt.Errorf("the open reservation %q of %q has no id, no holder, or the id of another", e.ID, e.Holder)
		}
		ids[e.ID] = true
		if e.Unpriced && e.NanoUSD != 0 {
			return fmt.Errorf("the open reservation %q has a cost and none", e.ID)
		}
		amounts = append(amounts, struct {
			what string
			amount
		}{"the open reservation " + e.ID, e.amount})
	}
	for _, a := range amounts {
		if a.NanoUSD < 0 || a.Tokens < 0 || a.NanoUSD > most || a.Tokens > most {
			return fmt.Errorf("%s is not between 0 and %d: %d nano_usd, %d tokens", a.what, int64(most), a.NanoUSD, a.Tokens)
		}
	}
	if t := s.Settled; t.Requests < 0 || t.Unpriced < 0 || t.Requests > most || t.Unpriced > t.Requests {
		return fmt.Errorf("settled are %d requests, %d of them without a price", t.Requests, t.Unpriced)
	}
	sum := float64(s.Settled.NanoUSD) + float64(s.Settled.Tokens) // which does not overflow
	for _, e := range s.Open {
		sum += float64(e.NanoUSD) + float64(e.Tokens)
	}
	if sum > most {
		return fmt.Errorf("all together exceeds %d", int64(most))
	}
	return nil
}

func (s *state) encode() ([]byte, error) {
	if s.Open == nil {
		s.Open = []entry{}
	}
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}
