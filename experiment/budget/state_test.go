package budget

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const whole = `{"version":1,"changes":7,"limits":{"nano_usd":5,"tokens":0},
"settled":{"nano_usd":3,"tokens":2,"requests":2,"unpriced":1},
"open":[{"id":"A","holder":"h","nano_usd":0,"tokens":4,"unpriced":true,"since":"2026-01-02T03:04:05Z"},
{"id":"B","holder":"h","nano_usd":1,"tokens":4,"since":"2026-01-02T03:04:05Z","presumed":true}]}`

// FuzzDecode has what is accepted written and read again, and its sums be sums.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		whole, ``, `{}`, `{"version":1}`, `{"version":2}`, `{"version":1}x`, `{"version":1,"more":1}`,
		`{"version":1,"open":[{"id":"A","holder":"h","tokens":-1}]}`,
		`{"version":1,"settled":{"nano_usd":9223372036854775807}}`,
		`{"version":1,"open":[{"id":"A","holder":"h","tokens":9007199254740992},{"id":"B","holder":"h","tokens":9007199254740992}]}`,
		`{"version":1,"open":[{"id":"A","holder":"h"},{"id":"A","holder":"h"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			return
		}
		spent, presumed, reserved := s.sums()
		if spent.NanoUSD < presumed.NanoUSD || spent.Tokens < 0 || reserved.Tokens < 0 || spent.Tokens+reserved.Tokens > most {
			t.Errorf("sums: spent %+v, presumed %+v, reserved %+v", spent, presumed, reserved)
		}
		text, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(text)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text)
		}
		if diff := cmp.Diff(s, again, cmp.AllowUnexported(state{}, tally{}, entry{}, charge{}, amount{})); diff != "" {
			t.Errorf("written and read (-before +after):\n%s", diff)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	if _, err := decode([]byte(whole)); err != nil {
		t.Fatalf("the one that the others are made of: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":             ``,
		"another version":     `{"version":2}`,
		"an unknown key":      `{"version":1,"spend":1}`,
		"something behind it": `{"version":1}{}`,
		"a negative sum":      `{"version":1,"settled":{"tokens":-1}}`,
		"more than JSON's":    `{"version":1,"settled":{"tokens":9007199254740993}}`,
		"too much together":   `{"version":1,"settled":{"tokens":9007199254740000},"open":[{"id":"A","holder":"h","tokens":9007199254740000}]}`,
		"the same id twice":   `{"version":1,"open":[{"id":"A","holder":"h"},{"id":"A","holder":"h"}]}`,
		"no holder":           `{"version":1,"open":[{"id":"A"}]}`,
		"a cost and none":     `{"version":1,"open":[{"id":"A","holder":"h","nano_usd":1,"unpriced":true}]}`,
		"more without price":  `{"version":1,"settled":{"requests":1,"unpriced":2}}`,
	} {
		if s, err := decode([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", name, s)
		}
	}
}
