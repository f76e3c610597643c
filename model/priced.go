package model

import "context"

// Pricer knows what tokens cost.
type Pricer interface {
	// Cost returns the price in USD of usage by the model of that name
	// (PROVIDER/NAME), and false where it knows no price.
	Cost(name string, usage Usage) (usd float64, known bool)
}

// Priced returns a Model that fills [Response.CostUSD] of m's answers with the
// price of the model of the given name. Where the price is unknown the cost stays
// nil; it is never 0 for want of knowledge. A cost that m filled already is kept.
func Priced(m Model, prices Pricer, name string) Model {
	return &priced{next: m, prices: prices, name: name}
}

type priced struct {
	next   Model
	prices Pricer
	name   string
}

// Generate answers the request and adds what it cost.
func (p *priced) Generate(ctx context.Context, req *Request) (*Response, error) {
	resp, err := p.next.Generate(ctx, req)
	if err != nil || resp.CostUSD != nil {
		return resp, err
	}
	if usd, known := p.prices.Cost(p.name, resp.Usage); known {
		// A copy, since a replayed or scripted response may be handed out twice.
		priced := *resp
		priced.CostUSD = &usd
		return &priced, nil
	}
	return resp, nil
}
