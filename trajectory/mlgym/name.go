package mlgym

import (
	"strconv"
	"strings"
)

// Name is what the name of a run folder says:
//
//	metagen-{model}__{task}__{agent}__t-{temp}__p-{top_p}__c-{cost}__install-{0|1}__{suffix}_run_{n}
type Name struct {
	Model, Task, Agent string
	// Run is the number after the last "_run_".
	Run int
}

// prefix stands before the model in the name of every published run folder.
const prefix = "metagen-"

// ParseName reads the name of a run folder. It reports false for a name that
// is not of that form. Models hold no "__" and task ids no "_", so the reading
// is unique, unlike a match by wildcard.
func ParseName(folder string) (Name, bool) {
	parts := strings.Split(folder, "__")
	if len(parts) < 4 {
		return Name{}, false
	}
	model, ok := strings.CutPrefix(parts[0], prefix)
	last := parts[len(parts)-1]
	at := strings.LastIndex(last, "_run_")
	if !ok || model == "" || parts[1] == "" || at < 0 {
		return Name{}, false
	}
	n, err := strconv.Atoi(last[at+len("_run_"):])
	if err != nil || n < 0 {
		return Name{}, false
	}
	return Name{Model: model, Task: parts[1], Agent: parts[2], Run: n}, true
}
