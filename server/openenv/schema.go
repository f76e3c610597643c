package openenv

import (
	"encoding/json"
	"net/http"

	"mlgym/server/httpsession"
)

func (h *Handler) metadata(w http.ResponseWriter, _ *http.Request) {
	httpsession.JSON(w, http.StatusOK, map[string]string{
		"name":        EnvName,
		"description": "Machine-learning research tasks in a sandbox with a shell: the agent writes code, trains, validates and submits; hidden data score its work.",
		"version":     h.opts.Version,
		"author":      "mlgym",
	})
}

// The schemas of what is sent. An action has one required field, so that clients
// which turn plain text into an action know where it belongs.
const (
	actionSchema = `{
"title":"MlgymAction","type":"object","additionalProperties":false,"required":["command"],
"description":"Shell text for the episode's persistent bash. Beside it the two kinds of MCP: {\"type\":\"list_tools\"} and {\"type\":\"call_tool\",\"tool_name\":…,\"arguments\":{…}}.",
"properties":{
"command":{"type":"string","description":"Shell text. While a command runs, \"wait\" waits for it and \"interrupt\" stops it."},
"metadata":{"type":"object","description":"Not looked at."}}}`
	observationSchema = `{
"title":"MlgymObservation","type":"object","required":["text","step","steps_left","running","metadata"],
"properties":{
"text":{"type":"string","description":"What the command printed, or the task after a reset."},
"task":{"type":"string"},
"step":{"type":"integer","minimum":0,"description":"Actions taken so far."},
"steps_left":{"type":"integer","minimum":-1,"description":"Actions that remain; -1 without a limit."},
"working_dir":{"type":"string"},"open_file":{"type":"string"},
"running":{"type":"boolean","description":"The command still runs: wait for it or interrupt it."},
"tools":{"type":"array","items":{"type":"object"}},
"tool_name":{"type":"string"},"result":{"type":"string"},"error":{"type":"object"},
"done":{"type":"boolean"},"reward":{"type":["number","null"]},
"metadata":{"type":"object","properties":{"exit_status":{"type":"string","description":"How the episode ended, once it has."}}}}}`
	stateSchema = `{
"title":"MlgymState","type":"object",
"properties":{
"episode_id":{"type":["string","null"]},"step_count":{"type":"integer","minimum":0},
"session_id":{"type":"string"},"task":{"type":"string"},"variant":{"type":"string"},"mode":{"type":"string"},
"reward_mode":{"type":"string"},"seed":{"type":["integer","null"]},
"reward_range":{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":2},
"done":{"type":"boolean"},"running":{"type":"boolean"},"total_reward":{"type":"number"},"max_steps":{"type":"integer"}}}`
	resetSchema = `{
"title":"Reset","type":"object",
"properties":{
"seed":{"type":"integer","minimum":0},"episode_id":{"type":"string","maxLength":255},
"task":{"type":"string"},"split":{"type":"string","enum":["train","validation","test"]},"index":{"type":"integer","minimum":0},
"variant":{"type":"string"},"mode":{"type":"string","enum":["hardened","published"]},
"reward":{"type":"string","enum":["improvement","terminal","none"]},
"max_steps":{"type":"integer","minimum":1},"patience_s":{"type":"number","minimum":0},
"snapshot":{"type":"string"},"attach":{"type":"string"},"session_id":{"type":"string"}}}`
)

func (h *Handler) schema(w http.ResponseWriter, _ *http.Request) {
	httpsession.JSON(w, http.StatusOK, map[string]json.RawMessage{
		"action": json.RawMessage(actionSchema), "observation": json.RawMessage(observationSchema), "state": json.RawMessage(stateSchema),
	})
}

// openapi names the routes. The version is that of the protocol, by which its
// validator chooses what to check.
func (h *Handler) openapi(w http.ResponseWriter, _ *http.Request) {
	body := func(schema string) map[string]any {
		return map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": json.RawMessage(schema)}}}
	}
	reply := map[string]any{"200": map[string]any{"description": "done"}}
	get := func(text string) map[string]any {
		return map[string]any{"get": map[string]any{"summary": text, "responses": reply}}
	}
	post := func(text, schema string) map[string]any {
		return map[string]any{"post": map[string]any{"summary": text, "requestBody": body(schema), "responses": reply}}
	}
	const anything = `{"type":"object"}`
	const split = `{"type":"object","required":["split"],"properties":{"split":{"type":"string"}}}`
	httpsession.JSON(w, http.StatusOK, map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]string{"title": EnvName, "version": "1.0.0", "x-mlgym-version": h.opts.Version},
		"paths": map[string]any{
			"/reset":                        post("Begin an episode", resetSchema),
			"/step":                         post("Run an action", `{"type":"object","required":["action"],"properties":{"action":`+actionSchema+`,"timeout_s":{"type":"number","exclusiveMinimum":0},"request_id":{"type":"string"}}}`),
			"/state":                        get("Where the session stands"),
			"/close":                        post("End the session", anything),
			"/health":                       get("Whether the server takes sessions"),
			"/metadata":                     get("What this is"),
			"/schema":                       get("Schemas of action, observation and state"),
			"/mcp":                          post("MCP: the two methods of OpenEnv, and streamable HTTP", anything),
			"/episodes/{session}/snapshot":  post("Save the state of an episode", anything),
			"/episodes/{session}/interrupt": post("Stop the command that runs", anything),
			"/snapshots/{id}":               map[string]any{"delete": map[string]any{"summary": "Forget a saved state", "responses": reply}},
			"/list_environments":            get("The environments of the tasks API"),
			"/{env}/splits":                 get("The splits"),
			"/{env}/tasks":                  post("The tasks of a split", split),
			"/{env}/num_tasks":              post("How many tasks a split has", split),
			"/{env}/task":                   post("One task", split),
			"/{env}/task_range":             post("Some tasks", split),
		},
	})
}
