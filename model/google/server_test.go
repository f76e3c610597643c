package google_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The wire format of generateContent, as documented at
// https://ai.google.dev/api/generate-content: only what this provider may send.
type (
	wireRequest struct {
		Contents          []wireContent `json:"contents"`
		SystemInstruction *wireContent  `json:"systemInstruction"`
		Tools             []struct {
			FunctionDeclarations []struct {
				Name                 string          `json:"name"`
				Description          string          `json:"description"`
				ParametersJSONSchema json.RawMessage `json:"parametersJsonSchema"`
			} `json:"functionDeclarations"`
		} `json:"tools"`
		GenerationConfig struct {
			Temperature     *float64 `json:"temperature"`
			TopP            *float64 `json:"topP"`
			MaxOutputTokens int      `json:"maxOutputTokens"`
			StopSequences   []string `json:"stopSequences"`
			Seed            *int64   `json:"seed"`
			ThinkingConfig  *struct {
				IncludeThoughts bool `json:"includeThoughts"`
				ThinkingBudget  *int `json:"thinkingBudget"`
			} `json:"thinkingConfig"`
		} `json:"generationConfig"`
	}
	wireContent struct {
		Role  string     `json:"role,omitempty"`
		Parts []wirePart `json:"parts"`
	}
	wirePart struct {
		Text             string `json:"text,omitempty"`
		Thought          bool   `json:"thought,omitempty"`
		ThoughtSignature string `json:"thoughtSignature,omitempty"`
		FunctionCall     *struct {
			ID   string          `json:"id,omitempty"`
			Name string          `json:"name"`
			Args json.RawMessage `json:"args,omitempty"`
		} `json:"functionCall,omitempty"`
		FunctionResponse *struct {
			ID       string         `json:"id,omitempty"`
			Name     string         `json:"name"`
			Response map[string]any `json:"response"`
		} `json:"functionResponse,omitempty"`
	}
)

const (
	testKey       = "AIza-test-key-0123456789"
	testWindow    = 500 // words
	testSignature = "c2lnbmVkLXRob3VnaHQ="
)

// geminiServer answers as the documentation says and refuses any request that
// the documentation does not allow.
func geminiServer(t *testing.T, withIDs bool) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, status, err := generate(r, withIDs)
		if err != nil {
			w.WriteHeader(status)
			answer = fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q}}`, status, err.Error(), statusName(status))
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server
}

func statusName(status int) string {
	return map[int]string{400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}[status]
}

func generate(r *http.Request, withIDs bool) (answer string, status int, err error) {
	if want := "/v1beta/models/gemini-test:generateContent"; r.Method != http.MethodPost || r.URL.Path != want {
		return "", 404, fmt.Errorf("%s %s; want POST %s", r.Method, r.URL.Path, want)
	}
	if r.Header.Get("X-Goog-Api-Key") != testKey || strings.Contains(r.URL.RawQuery, "key") {
		return "", 400, fmt.Errorf("API key not valid. Please pass a valid API key.")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", 400, err
	}
	var req wireRequest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&req); err != nil {
		return "", 400, fmt.Errorf("invalid JSON payload: %w in %s", err, body)
	}
	if err := check(req); err != nil {
		return "", 400, fmt.Errorf("%w in %s", err, body)
	}
	words := 0
	for _, content := range req.Contents {
		for _, part := range content.Parts {
			words += 1 + len(strings.Fields(part.Text))
		}
	}
	if words > testWindow {
		return "", 400, fmt.Errorf("The input token count (%d) exceeds the maximum number of tokens allowed (%d).", words, testWindow)
	}
	last := req.Contents[len(req.Contents)-1].Parts
	if len(req.Tools) > 0 && last[len(last)-1].FunctionResponse == nil {
		name := req.Tools[0].FunctionDeclarations[0].Name
		id := ""
		if withIDs {
			id = `"id":"srv-1",`
		}
		return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[
			{"text":"I must look.","thought":true},
			{"functionCall":{%s"name":%q,"args":{"city":"Paris"}},"thoughtSignature":%q}]},"finishReason":"STOP","index":0}],
			"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":%d},
			"modelVersion":"gemini-test-001"}`, id, name, testSignature, words, words+12), 200, nil
	}
	say := strings.Fields("Hello from a small server of the tests that counts words as tokens")
	finish := "STOP"
	if limit := req.GenerationConfig.MaxOutputTokens; limit > 0 && limit < len(say) {
		say, finish = say[:limit], "MAX_TOKENS"
	}
	return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[{"text":%q}]},"finishReason":%q,"index":0}],
		"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"cachedContentTokenCount":1,"totalTokenCount":%d},
		"modelVersion":"gemini-test-001"}`, strings.Join(say, " "), finish, words, len(say), words+len(say)), 200, nil
}

// check holds the rules of a conversation: turns alternate and the user begins;
// a result answers a call of the turn before it, by name and, where it had one,
// by id; a call comes back with the signature that it had.
func check(req wireRequest) error {
	if len(req.Contents) == 0 {
		return fmt.Errorf("contents is not specified")
	}
	if s := req.SystemInstruction; s != nil && len(s.Parts) == 0 {
		return fmt.Errorf("system instruction without parts")
	}
	for i, content := range req.Contents {
		want := []string{"user", "model"}[i%2]
		if content.Role != want {
			return fmt.Errorf("contents[%d] has role %q, want %q", i, content.Role, want)
		}
		if len(content.Parts) == 0 {
			return fmt.Errorf("contents[%d] has no parts", i)
		}
		for j, part := range content.Parts {
			switch {
			case part.FunctionCall != nil:
				if content.Role != "model" {
					return fmt.Errorf("contents[%d].parts[%d] calls a function as user", i, j)
				}
				if args := part.FunctionCall.Args; len(args) > 0 && args[0] != '{' {
					return fmt.Errorf("contents[%d].parts[%d]: args are not an object", i, j)
				}
				if part.FunctionCall.ID == "srv-1" && part.ThoughtSignature != testSignature {
					return fmt.Errorf("contents[%d].parts[%d]: function call is missing a thought_signature", i, j)
				}
			case part.FunctionResponse != nil:
				if content.Role != "user" || i == 0 || !answers(req.Contents[i-1], part) {
					return fmt.Errorf("contents[%d].parts[%d] answers no call of the turn before", i, j)
				}
			case part.Text == "":
				return fmt.Errorf("contents[%d].parts[%d] is empty", i, j)
			}
		}
	}
	for _, tool := range req.Tools {
		for _, f := range tool.FunctionDeclarations {
			if f.Name == "" || f.Description == "" || !bytes.HasPrefix(f.ParametersJSONSchema, []byte("{")) {
				return fmt.Errorf("function declaration %+v is incomplete", f)
			}
		}
	}
	return nil
}

func answers(turn wireContent, part wirePart) bool {
	for _, p := range turn.Parts {
		if p.FunctionCall != nil && p.FunctionCall.Name == part.FunctionResponse.Name && p.FunctionCall.ID == part.FunctionResponse.ID {
			return true
		}
	}
	return false
}
