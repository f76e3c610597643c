package run

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mlgym/model"
	"mlgym/web/markup"
	"mlgym/web/record"
)

// Bounds of what the page of a prompt shows; the file beside it has everything.
const (
	maxMessages                = 400
	newLines, newBytes         = 400, 24 << 10
	earlierLines, earlierBytes = 40, 3000
)

// promptView is what the page of a prompt shows.
type promptView struct {
	Head      headView
	Step      int
	Total     int
	Prompt    string // the path of the file
	Exchanges []exchangeView
}

// exchangeView is one request.
type exchangeView struct {
	Number int
	record.Exchange
	// Earlier messages stood in the request before.
	Earlier, New []messageView
	LeftOut      int
	Reply        *messageView
}

// messageView is one message.
type messageView struct {
	Number    int
	Role      string
	Head      string
	Size      int
	Text      template.HTML
	Tail      template.HTML
	Hidden    int // bytes between them
	Reasoning template.HTML
	Calls     []callView
	CallID    string
}

type callView struct {
	Name, ID string
	Args     template.HTML
}

func newMessage(number int, m *model.Message, lines, size int) messageView {
	f := markup.Fold(m.Text, lines, size)
	v := messageView{
		Number: number, Role: markup.Visible(string(m.Role)), Head: markup.Head(m.Text, 90), Size: len(m.Text),
		Text: markup.Plain(f.Head), Tail: markup.Plain(f.Tail), Hidden: f.HiddenBytes, CallID: markup.Visible(m.ToolCallID),
	}
	if m.Reasoning != "" {
		r := markup.Fold(m.Reasoning, lines, size)
		v.Reasoning = markup.Plain(r.Head)
		if !r.Whole {
			v.Reasoning += template.HTML("\n…\n") + markup.Plain(r.Tail) //nolint:gosec // a constant
		}
		v.Size += len(m.Reasoning)
	}
	for _, c := range m.ToolCalls {
		args := string(c.Args)
		if len(args) > size {
			args = args[:cut(args, size)] + "…"
		}
		v.Calls = append(v.Calls, callView{markup.Visible(c.Name), markup.Visible(c.ID), markup.Code(args, "json")})
		v.Size += len(c.Args)
		if v.Head == "" {
			v.Head = "calls " + markup.Head(c.Name, 60)
		}
	}
	return v
}

// prompt answers with the messages that the model saw for a step.
func (p *Pages) prompt(w http.ResponseWriter, r *http.Request, run *record.Run) {
	n, ok := p.stepOf(w, r, run)
	if !ok {
		return
	}
	list, err := run.Prompt(r.Context(), n)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	v := promptView{Head: p.newHead(run), Step: n, Total: run.Len()}
	v.Prompt = fmt.Sprintf("%sprompt/%d.json", root(v.Head.Key), n)
	for i := range list {
		v.Exchanges = append(v.Exchanges, p.exchange(i+1, &list[i]))
	}
	p.show(w, r, fmt.Sprintf("Prompt of step %d · %s", n, v.Head.Title()), fmt.Sprintf("%sprompt/%d/", root(v.Head.Key), n), "prompt", &v)
}

func (p *Pages) exchange(number int, x *record.Exchange) exchangeView {
	e := exchangeView{Number: number, Exchange: *x}
	for _, text := range []*string{&e.Model, &e.Problem, &e.Error, &e.Note} {
		*text = markup.Visible(*text)
	}
	fresh := min(max(x.New, 0), len(x.Messages))
	if fresh == len(x.Messages) {
		fresh = max(0, fresh-1) // asked once more: the last one is what was answered
	}
	first := 0
	switch {
	case p.site.Static():
		// An export has a page for each step, and the earlier messages on the earlier ones.
		first = fresh
	case fresh > maxMessages:
		first = fresh - maxMessages
	}
	e.LeftOut = first
	for i := first; i < fresh; i++ {
		e.Earlier = append(e.Earlier, newMessage(i+1, &x.Messages[i], earlierLines, earlierBytes))
	}
	for i := fresh; i < len(x.Messages); i++ {
		if len(e.New) == maxMessages {
			break
		}
		e.New = append(e.New, newMessage(i+1, &x.Messages[i], newLines, newBytes))
	}
	if x.Answer != nil {
		reply := newMessage(0, x.Answer, newLines, newBytes)
		e.Reply = &reply
	}
	return e
}

// promptFile answers with the same as JSON, whole.
func (p *Pages) promptFile(w http.ResponseWriter, r *http.Request, run *record.Run) {
	name, ok := strings.CutSuffix(r.PathValue("file"), ".json")
	n, err := strconv.Atoi(name)
	if !ok || err != nil {
		p.room.Error(w, r, http.StatusNotFound, "runs", "Prompts are named like 12.json.")
		return
	}
	list, err := run.Prompt(r.Context(), n)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	asText(w)
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	_ = out.Encode(list) // a client that is gone
}

// auditView is the verdict on a run.
type auditView struct {
	Head     headView
	Verdict  pill
	Problem  string
	Findings []findingView
}

type findingView struct {
	Weight pill
	Rule   string
	Step   int
	Page   string
	File   string
	Quote  string
	Text   string
}

// audit answers with the verdict on a run, as a page or as a part of that of the run.
func (p *Pages) audit(w http.ResponseWriter, r *http.Request, run *record.Run) {
	v := auditView{Head: p.newHead(run)}
	result, err := run.Audit(r.Context())
	if r.Context().Err() != nil {
		return
	}
	if err != nil {
		v.Problem = markup.Visible(err.Error())
	} else {
		classes := map[string]string{"clean": "good", "suspicious": "warn", "tampered": "bad", "remark": "", "suspicion": "warn", "tampering": "bad"}
		verdict := string(result.Verdict)
		v.Verdict = pill{classes[verdict], verdict, "What the rules of mlgym audit say of the record"}
		for _, f := range result.Findings {
			v.Findings = append(v.Findings, findingView{
				Weight: pill{classes[string(f.Weight)], string(f.Weight), ""}, Rule: strings.ReplaceAll(string(f.Rule), "_", " "),
				Step: f.Step, Page: p.pageOf(v.Head.Key, f.Step), File: markup.Visible(f.File), Quote: markup.Visible(f.Quote), Text: markup.Visible(f.Text),
			})
		}
		slices.SortStableFunc(v.Findings, func(a, b findingView) int { return weights[b.Weight.Text] - weights[a.Weight.Text] })
	}
	if r.URL.Query().Get("part") != "" && !p.site.Static() {
		p.room.Fragment(w, r, "verdict", v)
		return
	}
	p.show(w, r, "Audit · "+v.Head.Title(), root(v.Head.Key)+"audit/", "audit", v)
}

var weights = map[string]int{"suspicion": 1, "tampering": 2}
