package runstore

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mlgym/gym"
	"mlgym/sandbox"
)

// Version is the version of the layout and of the manifest that this package
// writes.
const Version = 1

// The names of the files and folders of a run.
const (
	ManifestName   = "manifest.json"
	GraderKeyName  = "grader.key"
	TrajectoryName = "trajectory.jsonl"
	ResultName     = "result.json"
	LockName       = "lock"
	SubmissionName = "submission"
	LogsName       = "logs"
)

// Direction says which of two scores is better.
type Direction string

// The directions.
const (
	Maximize Direction = "maximize"
	Minimize Direction = "minimize"
)

// Better reports whether score a is better than score b.
func (d Direction) Better(a, b float64) bool {
	if d == Minimize {
		return a < b
	}
	return a > b
}

// Manifest says what a run is. It is written before the episode starts and
// never changed. It holds no secret and no path of the machine.
type Manifest struct {
	// FormatVersion is set by [Create].
	FormatVersion int `json:"format_version"`
	// MlgymVersion is the program that made the run.
	MlgymVersion string `json:"mlgym_version,omitempty"`
	// RunID names the run; [Create] makes one where it is empty.
	RunID string `json:"run_id"`
	// Created is set by [Create] where it is zero.
	Created time.Time `json:"created"`

	Task        string `json:"task"`
	TaskVersion string `json:"task_version,omitempty"`
	TaskDigest  string `json:"task_digest,omitempty"`
	// Mode is how the task is evaluated: "hardened" or "published".
	Mode string `json:"mode,omitempty"`
	// Variant of the data.
	Variant string `json:"variant,omitempty"`
	// Digests of further things that the scores depend on: "data", "grader",
	// "environment" …
	Digests map[string]string `json:"digests,omitempty"`

	Agent string `json:"agent"`
	// AgentName is what an experiment calls the agent, "" elsewhere.
	AgentName string `json:"agent_name,omitempty"`
	// AgentConfig is what it takes to make the same agent again.
	AgentConfig json.RawMessage `json:"agent_config,omitempty"`
	Model       string          `json:"model,omitempty"`
	Scaffold    string          `json:"scaffold,omitempty"`
	Seed        uint64          `json:"seed"`
	Limits      Limits          `json:"limits"`
	Sandbox     Sandbox         `json:"sandbox"`
	// Prices of the model when the run was made; nil where unknown.
	Prices *Prices `json:"prices,omitempty"`

	// PrimaryMetric is the one that decides which evaluation is best.
	PrimaryMetric string    `json:"primary_metric,omitempty"`
	Direction     Direction `json:"direction,omitempty"`
	// Baseline holds the scores of the task's starter; nil where unknown.
	Baseline gym.Scores `json:"baseline,omitempty"`
	// Reward is the reward that was paid: "improvement", "terminal", "none".
	Reward string `json:"reward,omitempty"`

	Host Host `json:"host"`

	// GraderKey is kept in a file of its own. [Create] makes one where it is
	// nil.
	GraderKey GraderKey `json:"-"`
}

// Limits of the episode; 0 means none.
type Limits struct {
	MaxSteps    int     `json:"max_steps,omitempty"`
	WallSeconds float64 `json:"wall_seconds,omitempty"`
	CostUSD     float64 `json:"cost_usd,omitempty"`
	Tokens      int64   `json:"tokens,omitempty"`
	// ActionSeconds and TrainingSeconds are the deadlines of one action.
	ActionSeconds   float64 `json:"action_seconds,omitempty"`
	TrainingSeconds float64 `json:"training_seconds,omitempty"`
}

// Sandbox says where the agent worked.
type Sandbox struct {
	Driver  string         `json:"driver"`
	Version string         `json:"version,omitempty"`
	Root    string         `json:"root,omitempty"`
	Limits  sandbox.Limits `json:"limits,omitzero"`
}

// Prices of a model, in US dollars for a million tokens.
type Prices struct {
	InputUSD      float64 `json:"input_usd"`
	OutputUSD     float64 `json:"output_usd"`
	CachedUSD     float64 `json:"cached_usd,omitempty"`
	CacheWriteUSD float64 `json:"cache_write_usd,omitempty"`
}

// Host holds those facts of the machine that results may depend on.
type Host struct {
	OS          string `json:"os,omitempty"`
	Arch        string `json:"arch,omitempty"`
	Kernel      string `json:"kernel,omitempty"`
	CPUModel    string `json:"cpu_model,omitempty"`
	CPUs        int    `json:"cpus,omitempty"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	GoVersion   string `json:"go_version,omitempty"`
	// Accelerators by name, such as "NVIDIA H200".
	Accelerators []string `json:"accelerators,omitempty"`
}

// GraderKey is the secret of a run, from which the grader derives what an
// agent must not foresee. Its text form does not show it.
type GraderKey []byte

// graderKeyBytes is the size of a key.
const graderKeyBytes = 32

// NewGraderKey makes a random key.
func NewGraderKey() GraderKey {
	key := make(GraderKey, graderKeyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

// Hex returns the key as text, to be given to a grader or a redactor.
func (k GraderKey) Hex() string { return hex.EncodeToString(k) }

// String hides the key from logs.
func (k GraderKey) String() string { return "[grader key]" }

// GoString hides the key from logs.
func (k GraderKey) GoString() string { return k.String() }

// NewRunID makes the name of a run: its time in UTC and a few random letters.
func NewRunID(now time.Time) string {
	random := make([]byte, 3)
	_, _ = rand.Read(random) // never fails
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(random)
}

// DefaultDir returns where a run belongs below root: task, agent with its
// model, run.
func DefaultDir(root string, m Manifest) string {
	who := m.Agent
	if m.Model != "" {
		who += "-" + m.Model
	}
	id := m.RunID
	if id == "" {
		id = NewRunID(time.Now())
	}
	return filepath.Join(root, FileName(m.Task), FileName(who), FileName(id))
}

// FileName turns a name into one component of a path.
func FileName(name string) string {
	clean := []byte(name)
	for i, c := range clean {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case (c == '.' || c == '-') && i > 0:
		default:
			clean[i] = '_'
		}
	}
	if len(clean) == 0 {
		return "_"
	}
	if len(clean) > 128 {
		clean = clean[:128]
	}
	return string(clean)
}

// ReadManifest reads the manifest of a run, without the grader's key.
func ReadManifest(dir string) (Manifest, error) {
	path := filepath.Join(dir, ManifestName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("%s is not a run: it has no %s", dir, ManifestName)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read the manifest: %w", err)
	}
	m, err := DecodeManifest(text)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// DecodeManifest reads the text of a manifest.
func DecodeManifest(text []byte) (Manifest, error) {
	var version struct {
		FormatVersion int `json:"format_version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return Manifest{}, fmt.Errorf("not a manifest: %w", err)
	}
	switch v := version.FormatVersion; {
	case v < 1:
		return Manifest{}, errors.New("not a manifest: it has no format_version")
	case v > Version:
		return Manifest{}, fmt.Errorf("the run has version %d of the layout, and this mlgym knows versions 1 to %d; use a newer mlgym", v, Version)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("not a manifest: %w", err)
	}
	if m.Direction != "" && m.Direction != Maximize && m.Direction != Minimize {
		return Manifest{}, fmt.Errorf("direction %q is neither %q nor %q", m.Direction, Maximize, Minimize)
	}
	return m, nil
}

// ReadGraderKey returns the grader's key of a run, nil where the run was copied
// without it.
func ReadGraderKey(dir string) (GraderKey, error) {
	path := filepath.Join(dir, GraderKeyName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was left out when the run was copied
	}
	if err != nil {
		return nil, fmt.Errorf("read the grader's key: %w", err)
	}
	key := make(GraderKey, hex.DecodedLen(len(trimLine(text))))
	if _, err := hex.Decode(key, trimLine(text)); err != nil {
		return nil, fmt.Errorf("%s is not a grader's key", path)
	}
	return key, nil
}

func trimLine(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		return text[:n-1]
	}
	return text
}
