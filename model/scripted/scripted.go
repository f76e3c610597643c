// Package scripted is a [model.Model] that answers from a list, for tests of
// what is built around a model.
package scripted

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"mlgym/model"
)

// Answer is one entry of the list: a response or an error.
type Answer struct {
	Response *model.Response
	Err      error
}

// Text is the answer of a model that says text and stops. Its usage counts a
// token for each four bytes begun, 1 at least, so that limits can be tested.
func Text(text string) Answer {
	return Message(model.Message{Text: text})
}

// Call is the answer of a model that calls one tool. Args is marshalled.
func Call(id, name string, args any) Answer {
	raw, err := json.Marshal(args)
	if err != nil {
		return Fail(fmt.Errorf("scripted: arguments of %s: %w", name, err))
	}
	return Message(model.Message{ToolCalls: []model.ToolCall{{ID: id, Name: name, Args: raw}}})
}

// Message is the answer of a model that says msg.
func Message(msg model.Message) Answer {
	msg.Role = model.Assistant
	stop := model.StopEnd
	if len(msg.ToolCalls) > 0 {
		stop = model.StopToolCalls
	}
	return Answer{Response: &model.Response{
		Message:    msg,
		Usage:      model.Usage{InputTokens: 1, OutputTokens: int64(max(1, (len(msg.Text)+3)/4))},
		StopReason: stop,
		Model:      "scripted",
	}}
}

// Fail is the answer of a model that returns err.
func Fail(err error) Answer { return Answer{Err: err} }

// Model gives the answers of its list in order, one for each request. It is safe
// for concurrent use.
type Model struct {
	mu       sync.Mutex
	answers  []Answer
	requests []model.Request
}

// New returns a Model with these answers.
func New(answers ...Answer) *Model { return &Model{answers: answers} }

// Generate returns the next answer. When the list is used up it returns a
// [model.BadResponse].
func (m *Model) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("scripted: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := *req
	kept.Messages = slices.Clone(req.Messages)
	m.requests = append(m.requests, kept)
	n := len(m.requests)
	if n > len(m.answers) {
		return nil, &model.Error{
			Kind: model.BadResponse, Provider: "scripted",
			Message: fmt.Sprintf("asked for answer %d of a list of %d", n, len(m.answers)),
		}
	}
	answer := m.answers[n-1]
	if answer.Err != nil || answer.Response == nil {
		return nil, answer.Err
	}
	resp := *answer.Response
	return &resp, nil
}

// Requests returns what was asked so far, in order.
func (m *Model) Requests() []model.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}
