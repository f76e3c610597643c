package grader

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"mlgym/gym"
	"mlgym/task"
)

// minKey is the shortest secret that is taken.
const minKey = 16

// seed derives the seed of one grading from the secret of the run:
// HMAC-SHA256(key, mode, kind, task, version, variant[, attempt]), each part
// preceded by its length. In the mode hardened all validations of a run share
// one seed and submit has another; in published each grading has its own.
func seed(req Request) string {
	mac := hmac.New(sha256.New, req.Key)
	parts := []string{
		"mlgym grading 1", string(req.Mode), string(req.Kind),
		string(req.Task.ID), strconv.Itoa(req.Task.Version), req.Variant,
	}
	if req.Mode == task.Published {
		parts = append(parts, strconv.Itoa(req.Attempt))
	}
	for _, p := range parts {
		fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// check refuses a request that cannot be graded, and fills in its defaults.
func (req *Request) check() error {
	if req.Mode == "" {
		req.Mode = task.Hardened
	}
	if req.Variant == "" {
		req.Variant = task.Full
	}
	switch {
	case req.Task == nil:
		return fmt.Errorf("grade: no task")
	case req.Submission == nil:
		return fmt.Errorf("grade: no submission")
	case req.Kind != gym.Validate && req.Kind != gym.Submit:
		return fmt.Errorf("grade: unknown kind %q", req.Kind)
	case !req.Task.HasMode(req.Mode):
		return fmt.Errorf("grade: task %s has no mode %q", req.Task.ID, req.Mode)
	case len(req.Key) < minKey:
		return fmt.Errorf("grade: the key has %d bytes, want at least %d", len(req.Key), minKey)
	}
	if _, err := req.Task.Variant(req.Variant); err != nil {
		return fmt.Errorf("grade: %w", err)
	}
	return nil
}
