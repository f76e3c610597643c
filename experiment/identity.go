package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"mlgym/runstore"
)

// ID names an episode by what decides it: the first 16 hexadecimal digits of a
// SHA-256.
type ID string

const idDigits = 16

// identity is what decides an episode. Its JSON is what is hashed, so that a
// field that is added changes every ID, but for one that is left out when empty.
type identity struct {
	Version        int               `json:"version"`
	Task           string            `json:"task"`
	TaskVersion    string            `json:"task_version"`
	TaskDigest     string            `json:"task_digest"`
	Digests        map[string]string `json:"digests,omitempty"`
	Mode           string            `json:"mode"`
	Variant        string            `json:"variant"`
	Reward         string            `json:"reward"`
	Agent          string            `json:"agent"`
	AgentConfig    json.RawMessage   `json:"agent_config"`
	Model          string            `json:"model,omitempty"`
	ScaffoldDigest string            `json:"scaffold_digest,omitempty"`
	Prices         *runstore.Prices  `json:"prices,omitempty"`
	Seed           uint64            `json:"seed"`
	Limits         runstore.Limits   `json:"limits"`
	Sandbox        runstore.Sandbox  `json:"sandbox"`
	ImageDigest    string            `json:"image_digest,omitempty"`
}

// identify returns the name of the episode with this manifest. imageDigest names
// the content of the sandbox's root file system where it is a file.
func identify(m runstore.Manifest, scaffoldDigest, imageDigest string) (ID, error) {
	text, err := json.Marshal(identity{
		Version: 1, Task: m.Task, TaskVersion: m.TaskVersion, TaskDigest: m.TaskDigest, Digests: m.Digests,
		Mode: m.Mode, Variant: m.Variant, Reward: m.Reward, Agent: m.Agent, AgentConfig: m.AgentConfig, Model: m.Model,
		ScaffoldDigest: scaffoldDigest, Prices: m.Prices, Seed: m.Seed, Limits: m.Limits, Sandbox: m.Sandbox, ImageDigest: imageDigest,
	})
	if err != nil {
		return "", fmt.Errorf("identify an episode: %w", err)
	}
	sum := sha256.Sum256(text)
	return ID(hex.EncodeToString(sum[:])[:idDigits]), nil
}
