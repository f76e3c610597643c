package grader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mlgym/gym"
	"mlgym/task"
)

// protocolVersion is that of docs/format/grader-protocol.md.
const protocolVersion = 1

// beginMessage is the first message on the control channel.
type beginMessage struct {
	Op         string         `json:"op"` // "begin"
	Protocol   int            `json:"protocol"`
	Task       task.ID        `json:"task"`
	Kind       gym.Kind       `json:"kind"`
	Mode       task.Mode      `json:"mode"`
	Variant    string         `json:"variant"`
	Parameters map[string]any `json:"parameters"`
	Seed       string         `json:"seed"`
	Files      []string       `json:"files"`
	Submission string         `json:"submission"`
	Data       string         `json:"data"`
}

// request is what the grader sends: a request, or the outcome.
type request struct {
	Op      string             `json:"op"`
	Player  string             `json:"player,omitempty"`
	Harness string             `json:"harness,omitempty"`
	Program string             `json:"program,omitempty"`
	Clock   string             `json:"clock,omitempty"`
	Scores  gym.Scores         `json:"scores,omitempty"`
	Details map[string]float64 `json:"details,omitempty"`
	Message string             `json:"message,omitempty"`
}

// reply is what the grader gets for a request.
type reply struct {
	OK         bool    `json:"ok"`
	Message    string  `json:"message,omitempty"`
	CPUSeconds float64 `json:"cpu_seconds"`
	Metered    bool    `json:"metered"`
}

// decodeRequest splits a payload into header and body. The header is one line
// of JSON without unknown keys; the body is whatever follows it.
func decodeRequest(payload []byte) (request, []byte, error) {
	header, body, _ := bytes.Cut(payload, []byte("\n"))
	var req request
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return request{}, nil, fmt.Errorf("request of the grader: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return request{}, nil, errors.New("request of the grader: more than one JSON value")
	}
	if req.Op == "" {
		return request{}, nil, errors.New("request of the grader: no op")
	}
	return req, body, nil
}
