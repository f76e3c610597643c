package model_test

import (
	"context"
	"fmt"

	"mlgym/model"
	"mlgym/model/scripted"
)

// A provider is wrapped with what a run needs.
func Example() {
	var m model.Model = scripted.New(
		scripted.Fail(&model.Error{Kind: model.Overloaded, Provider: "scripted", RetryAfter: 1}),
		scripted.Text("Hello."),
	)
	m = model.Retry(m, model.RetryOptions{Base: 1, Seed: 42})
	m = model.Priced(m, fixedPrice{"scripted/hello": 0.5}, "scripted/hello")
	resp, err := m.Generate(context.Background(), &model.Request{
		Messages: []model.Message{{Role: model.User, Text: "Say hello."}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Message.Text, resp.StopReason, *resp.CostUSD)
	// Output: Hello. end 1
}
