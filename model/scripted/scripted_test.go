package scripted_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/scripted"
)

func Example() {
	m := scripted.New(scripted.Text("hello"), scripted.Call("1", "submit", map[string]int{"n": 3}))
	for range 2 {
		resp, err := m.Generate(context.Background(), &model.Request{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Message.Text, len(resp.Message.ToolCalls), resp.StopReason)
	}
	// Output:
	// hello 0 end
	//  1 tool_calls
}

func TestModel(t *testing.T) {
	boom := errors.New("boom")
	m := scripted.New(scripted.Text("a"), scripted.Fail(boom))
	ask := func(text string) (*model.Response, error) {
		return m.Generate(t.Context(), &model.Request{Messages: []model.Message{{Role: model.User, Text: text}}})
	}
	if resp, err := ask("one"); err != nil || resp.Message.Text != "a" {
		t.Errorf("first answer = %+v, %v; want the text a", resp, err)
	}
	if _, err := ask("two"); !errors.Is(err, boom) {
		t.Errorf("second answer = %v, want boom", err)
	}
	if _, err := ask("three"); model.KindOf(err) != model.BadResponse {
		t.Errorf("third answer = %v, want kind %q", err, model.BadResponse)
	}
	var texts []string
	for _, req := range m.Requests() {
		texts = append(texts, req.Messages[0].Text)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, texts); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Generate(ctx, &model.Request{}); !errors.Is(err, context.Canceled) || len(m.Requests()) != 3 {
		t.Errorf("under a cancelled context = %v with %d requests, want context.Canceled and 3", err, len(m.Requests()))
	}
}
