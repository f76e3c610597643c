package budget_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mlgym/experiment/budget"
	"mlgym/model"
	"mlgym/model/scripted"
)

func Example() {
	dir, err := os.MkdirTemp("", "budget")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	ledger, err := budget.Open(ctx, dir, budget.Limits{Tokens: 150})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := model.Budgeted(scripted.New(scripted.Text("hello"), scripted.Text("hello")), ledger.Account("run-1"),
		model.BudgetOptions{Name: "scripted/hello"})
	req := &model.Request{Messages: []model.Message{{Role: model.User, Text: "Say hello."}}, MaxTokens: 100}
	_, err = m.Generate(ctx, req)
	fmt.Println("refused:", errors.Is(err, model.ErrBudget))
	// Another run uses most of it.
	other, err := ledger.Account("run-2").Reserve(ctx, model.Charge{Tokens: 90})
	if err == nil {
		err = other.Settle(model.Charge{Tokens: 80})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = m.Generate(ctx, req)
	fmt.Println("refused:", errors.Is(err, model.ErrBudget))
	spent, err := ledger.Spent()
	fmt.Println(spent.Tokens, spent.Requests, err)
	// Output:
	// refused: false
	// refused: true
	// 83 2 <nil>
}
