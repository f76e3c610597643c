package slurm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxIndices bounds what ParseIndices makes of a few bytes: "0-4000000000".
const maxIndices = 4_000_000

// FormatIndices writes numbers as Slurm does: sorted, each once, with ranges:
// "0-3,7".
func FormatIndices(indices []int) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(indices)))
	var text []byte
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] == sorted[end]+1 {
			end++
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(sorted[i]), 10)
		if end > i {
			text = append(text, '-')
			text = strconv.AppendInt(text, int64(sorted[end]), 10)
		}
		i = end + 1
	}
	return string(text)
}

// ParseIndices reads what FormatIndices writes, and Slurm's steps ("0-9:3"). The
// numbers are not negative; the result is sorted and holds each once.
func ParseIndices(text string) ([]int, error) {
	var indices []int
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		bounds, stepText, hasStep := strings.Cut(part, ":")
		lowText, highText, isRange := strings.Cut(bounds, "-")
		low, err := parseIndex(lowText)
		high, step := low, 1
		if err == nil && isRange {
			high, err = parseIndex(highText)
		}
		if err == nil && hasStep {
			step, err = parseIndex(stepText)
		}
		if err != nil || high < low || step < 1 || (hasStep && !isRange) {
			return nil, fmt.Errorf("%q is no list of indices such as 0-3,7", text)
		}
		if (high-low)/step >= maxIndices-len(indices) {
			return nil, fmt.Errorf("%q are more than %d indices", text, maxIndices)
		}
		for i := low; i <= high; i += step {
			indices = append(indices, i)
		}
	}
	slices.Sort(indices)
	return slices.Compact(indices), nil
}

func parseIndex(text string) (int, error) {
	number, err := strconv.ParseUint(text, 10, 31)
	return int(number), err //nolint:gosec // it has 31 bits
}
