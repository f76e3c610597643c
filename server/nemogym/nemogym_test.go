package nemogym

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, response string
		want           []call
	}{
		{"two calls", `{"output":[{"type":"reasoning","summary":[]},
			{"type":"function_call","name":"bash","call_id":"1","arguments":"{\"command\":\"ls\"}"},
			{"type":"function_call","name":"open","call_id":"2","arguments":"{\"path\":\"a\"}"},
			{"type":"message","content":[{"type":"output_text","text":"I call."}]}]}`, []call{
			{id: "1", action: gym.Action{Command: "ls"}},
			{id: "2", action: gym.Action{Tool: "open", Args: json.RawMessage(`{"path":"a"}`)}},
		}},
		{"wrong calls", `{"output":[
			{"type":"function_call","name":"bash","call_id":"1","arguments":"ls"},
			{"type":"function_call","name":"bash","call_id":"2"},
			{"type":"function_call","name":"nothing","call_id":"3"},
			{"type":"function_call","name":"open","call_id":"4","arguments":"{"}]}`, []call{
			{id: "1", problem: "bash takes {\"command\": \"shell text\"}.\n"},
			{id: "2", problem: "bash takes {\"command\": \"shell text\"}.\n"},
			{id: "3", problem: "There is no tool \"nothing\".\n"},
			{id: "4", problem: "The arguments are no JSON.\n"},
		}},
		{"a block", `{"output":[{"type":"message","content":[{"type":"output_text","text":"First\n"},{"type":"output_text","text":"` +
			"```bash\\nls\\n```\\nthen\\n```\\npwd\\nid\\n```\\n" + `"}]}]}`, []call{{action: gym.Action{Command: "pwd\nid\n"}}}},
		{"plain text", `{"output":[{"type":"message","content":"ls -l"}]}`, []call{{action: gym.Action{Command: "ls -l"}}}},
		{"a block that is not closed", `{"output":[{"type":"message","content":"` + "```\\nls" + `"}]}`, []call{{action: gym.Action{Command: "```\nls"}}}},
		{"nothing", `{"output":[]}`, []call{{problem: "There was no command in that. Answer with one fenced block of shell text, or call a tool.\n"}}},
		{"content that is a number", `{"output":[{"type":"message","content":5}]}`, []call{{problem: "There was no command in that. Answer with one fenced block of shell text, or call a tool.\n"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decode(json.RawMessage(c.response))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(call{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, text := range []string{`"text"`, `[]`, `{"output":5}`, `{"output":[5]}`, `{"output":[{"arguments":{}}]}`, ``} {
		if got, err := decode(json.RawMessage(text)); err == nil {
			t.Errorf("%s is read as %+v", text, got)
		}
	}
}

// FuzzDecode: no response panics, and each has something to run or to answer.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"output":[{"type":"function_call","name":"bash","call_id":"1","arguments":"{\"command\":\"ls\"}"}]}`))
	f.Add([]byte(`{"output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}]}`))
	f.Add([]byte(`{"output":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		calls, err := decode(text)
		if err != nil {
			return
		}
		if len(calls) == 0 {
			t.Errorf("%q has nothing to answer", text)
		}
		for _, c := range calls {
			if c.problem != "" && !c.action.IsZero() {
				t.Errorf("%q is both run and refused: %+v", text, c)
			}
		}
	})
}

// FuzzFenced: what is between fences is found whatever stands around it.
func FuzzFenced(f *testing.F) {
	f.Add("before", "ls\npwd", "after")
	f.Add("```\nx\n```", "", "~~~")
	f.Add("", "a", "``")
	f.Fuzz(func(t *testing.T, before, block, after string) {
		if strings.Contains(before, "```") || strings.Contains(block, "```") || strings.Contains(after, "```") {
			fenced(before + block + after)
			return
		}
		text := before + "\n```bash\n" + block + "\n```\n" + after
		if got, ok := fenced(text); !ok || got != block+"\n" {
			t.Errorf("in %q the block is %q (%t), want %q", text, got, ok, block+"\n")
		}
	})
}
