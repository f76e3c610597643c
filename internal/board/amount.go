package board

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// usd is an amount of money with the digits that matter.
func usd(amount float64) string {
	switch size := math.Abs(amount); {
	case size == 0 || size >= 1 && size < 1000:
		return fmt.Sprintf("$%.2f", amount)
	case size < 1:
		return fmt.Sprintf("$%.3f", amount)
	case size < 1e6:
		return fmt.Sprintf("$%.0f", amount)
	default: // infinities and what is not a number as well
		return fmt.Sprintf("$%.3g", amount)
	}
}

// usdOr is "$?" where the price is not known.
func usdOr(amount *float64) string {
	if amount == nil {
		return "$?"
	}
	return usd(*amount)
}

// count writes large numbers short: 950, 12.3k, 1.20M.
func count(n int64) string {
	size := math.Abs(float64(n))
	for _, unit := range []struct {
		from   float64
		suffix string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if size >= unit.from {
			value := float64(n) / unit.from
			digits := 2
			switch {
			case math.Abs(value) >= 100:
				digits = 0
			case math.Abs(value) >= 10:
				digits = 1
			}
			return strconv.FormatFloat(value, 'f', digits, 64) + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// score writes a metric's value.
func score(v float64) string { return fmt.Sprintf("%.4g", v) }

func scoreOr(v *float64, otherwise string) string {
	if v == nil {
		return otherwise
	}
	return score(*v)
}

// longest is the largest duration that is told; more is "long".
const longest = 9999 * 24 * time.Hour

// duration writes seconds as a person says them, two units at most: 45s, 4m12s,
// 2h14m, 3d4h.
func duration(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "?"
	case seconds < 0:
		seconds = 0
	case seconds > longest.Seconds():
		return "long"
	}
	s := int64(math.Round(seconds))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd%02dh", s/(24*3600), s%(24*3600)/3600)
	}
}

// perHour is a pace: "0.25 an hour", "12 an hour", "2.33k an hour".
func perHour(n float64) string {
	const few = 10
	if n < few {
		return fmt.Sprintf("%.2g an hour", n)
	}
	return count(int64(math.Round(n))) + " an hour"
}
