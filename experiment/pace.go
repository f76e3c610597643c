package experiment

import (
	"fmt"
	"os"
	"time"
)

// EnvStale is the environment variable that says after how long without a sign
// of life an attempt on another machine is taken for dead, such as "3m" where a
// file system is slow to show what others write. All processes of an experiment
// need the same.
const EnvStale = "MLGYM_STALE_AFTER"

// Bounds of what [EnvStale] may say.
const (
	leastStale = 2 * time.Second
	mostStale  = time.Hour
)

// paceFromEnv is the usual pace, or one stretched to what the environment says.
func paceFromEnv() (pace, error) {
	text := os.Getenv(EnvStale)
	if text == "" {
		return usualPace, nil
	}
	stale, err := time.ParseDuration(text)
	if err != nil || stale < leastStale || stale > mostStale {
		return pace{}, fmt.Errorf("%s is %q: want a time from %v to %v, such as 3m", EnvStale, text, leastStale, mostStale)
	}
	beat := min(usualPace.beat, stale/(usualPace.stale/usualPace.beat))
	return pace{beat: beat, stale: stale, again: stale}, nil
}
