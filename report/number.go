package report

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// Number is a float64 that JSON can hold: NaN, which means "none", is null, and
// the infinities are the texts "inf" and "-inf".
type Number float64

// None is the Number that stands for no value.
var none = Number(math.NaN())

// IsNone reports whether there is no value.
func (n Number) IsNone() bool { return math.IsNaN(float64(n)) }

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte("null"), nil
	case math.IsInf(f, 1):
		return []byte(`"inf"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-inf"`), nil
	default:
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = none
		return nil
	}
	f, err := strconv.ParseFloat(string(bytes.Trim(text, `"`)), 64)
	*n = Number(f)
	return err
}

func numbers(xs []float64) []Number {
	out := make([]Number, len(xs))
	for i, x := range xs {
		out[i] = Number(x)
	}
	return out
}

// scaleRound rounds to three decimals by scaling: ×1000, to the nearest whole
// number (ties to even), ÷1000, in binary. 0.8855 becomes 0.886.
func scaleRound(x float64) float64 { return math.RoundToEven(x*1000) / 1000 }

// decimalRound rounds to three decimals correctly: the decimal number nearest
// to the exact binary value. 0.8855 becomes 0.885.
func decimalRound(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 3, 64), 64)
	if err != nil {
		return x
	}
	return y
}

// plain is the shortest decimal form that reads back the same, always with a
// point; empty for NaN.
func plain(x float64) string {
	switch {
	case math.IsNaN(x):
		return ""
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// human is a form for people: up to three decimals, large numbers shortened.
func human(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "–"
	case a >= 1e6 && !math.IsInf(x, 0):
		return strconv.FormatFloat(x, 'e', 2, 64)
	}
	return plain(decimalRound(x))
}
