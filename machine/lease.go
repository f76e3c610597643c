package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mlgym/internal/flock"
)

const (
	// lockName is the file whose lock is held by who looks or claims.
	lockName = "lock"
	suffix   = ".claim"
	version  = 1
	// look is how often waiting claims look for what dead processes let go of,
	// and others where the kernel does not tell of it.
	look = time.Second
	// lockWait bounds the waiting for the lock, which is held for moments, where
	// no context does.
	lockWait = time.Minute
)

// claim is the content of a file. While its file is locked it holds, or waits.
type claim struct {
	Version     int       `json:"version"`
	Held        bool      `json:"held"`
	PID         int       `json:"pid"`
	Owner       string    `json:"owner"`
	Since       time.Time `json:"since"`
	MemoryBytes int64     `json:"memory_bytes"`
	CPUs        float64   `json:"cpus"`
	// Count of GPUs that are asked for; Want are those that it must be.
	Count int      `json:"count"`
	Want  []device `json:"want,omitempty"`
	// GPUs that are held.
	GPUs []device `json:"gpus,omitempty"`

	// seq is the order of coming, from the file's name.
	seq  uint64
	name string
}

// device is a GPU for other processes, which may number them differently.
type device struct {
	Index int    `json:"index"`
	UUID  string `json:"uuid,omitempty"`
}

func (d device) is(g GPU) bool {
	if d.UUID != "" && g.UUID != "" {
		return d.UUID == g.UUID
	}
	return d.Index == g.Index
}

func devices(gpus []GPU) []device {
	out := make([]device, 0, len(gpus))
	for _, g := range gpus {
		out = append(out, device{g.Index, g.UUID})
	}
	return out
}

func decode(data []byte) (claim, error) {
	var c claim
	if err := json.Unmarshal(data, &c); err != nil {
		return claim{}, err
	}
	if c.Version != version {
		return claim{}, fmt.Errorf("it has version %d, and this mlgym reads version %d", c.Version, version)
	}
	if c.MemoryBytes < 0 || !amount(c.CPUs) || c.Count < 0 || c.MemoryBytes > 1<<60 {
		return claim{}, fmt.Errorf("it claims %d bytes, %v CPUs and %d GPUs", c.MemoryBytes, c.CPUs, c.Count)
	}
	return c, nil
}

// Lease is a part of a machine. It ends with the process, if it is not released
// before. It is safe for concurrent use.
type Lease struct {
	machine *Machine
	path    string

	mu    sync.Mutex // guards file and claim
	file  *flock.File
	claim claim
}

// GPUs returns the numbers of those that are held, smallest first.
func (l *Lease) GPUs() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int, 0, len(l.claim.GPUs))
	for _, d := range l.claim.GPUs {
		out = append(out, d.Index)
	}
	slices.Sort(out)
	return out
}

// Release gives everything back. A second call does nothing.
func (l *Lease) Release() error {
	l.mu.Lock()
	file := l.file
	l.file = nil
	l.mu.Unlock()
	if file == nil {
		return nil
	}
	// Removed first: a file that nobody locks is taken for that of a dead process.
	err := os.Remove(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, file.Unlock())
	l.machine.tell()
	if err != nil {
		return fmt.Errorf("release a lease: %w", err)
	}
	return nil
}

// TryClaim claims what is asked for if it is free and nobody waits for it, and
// returns false if not. What can never be free is an error that wraps
// [ErrImpossible].
func (m *Machine) TryClaim(req Request) (*Lease, bool, error) {
	ask, err := m.ask(req)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	lease, err := m.enter(ctx, ask, false)
	if err != nil {
		return nil, false, fmt.Errorf("claim %v: %w", req.Resources, err)
	}
	return lease, lease != nil, nil
}

// Claim waits until what is asked for is free. What can never be free is an
// error that wraps [ErrImpossible]. When ctx ends, the error wraps its cause and
// says who holds what.
func (m *Machine) Claim(ctx context.Context, req Request) (*Lease, error) {
	ask, err := m.ask(req)
	if err != nil {
		return nil, err
	}
	asked := Resources{MemoryBytes: ask.MemoryBytes, CPUs: ask.CPUs, GPUs: ask.Count}
	changed := m.watch()
	lease, err := m.enter(ctx, ask, true)
	if err != nil {
		return nil, fmt.Errorf("claim %v: %w", asked, err)
	}
	if lease.claim.Held {
		return lease, nil
	}
	unfollow := m.follow()
	defer unfollow()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for held := false; !held; {
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for %v: %w; %s", asked, context.Cause(ctx), m.explain(lease)), lease.Release()) //nolint:contextcheck // ctx has ended
		}
		changed = m.watch()
		if held, err = m.advance(ctx, lease); err != nil {
			if ctx.Err() != nil {
				continue // which is told above
			}
			return nil, errors.Join(fmt.Errorf("claim %v: %w", asked, err), lease.Release())
		}
	}
	return lease, nil
}

// explain says who is in the way.
func (m *Machine) explain(waiting *Lease) string {
	holders, err := m.Holders()
	if err != nil {
		return "who holds it cannot be found out: " + err.Error()
	}
	var parts []string
	for _, h := range holders {
		if h.name != filepath.Base(waiting.path) {
			parts = append(parts, h.String())
		}
	}
	return fmt.Sprintf("of %v, this is held: %s", m.has, strings.Join(parts, "; "))
}

// enter makes the file of a claim, which holds or, if it may wait, waits. It
// returns nil where it may not wait and would have to.
func (m *Machine) enter(ctx context.Context, ask claim, wait bool) (lease *Lease, err error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	others, err := m.scan()
	if err != nil {
		return nil, err
	}
	for _, c := range others {
		ask.seq = max(ask.seq, c.seq)
	}
	ask.seq++
	ask.Since = time.Now().UTC().Round(0)
	ask.Held = m.fit(&ask, others)
	if !ask.Held && !wait {
		return nil, nil //nolint:nilnil // said by the comment
	}
	path := filepath.Join(m.dir, fmt.Sprintf("%020d-%d%s", ask.seq, ask.PID, suffix))
	file, held, err := flock.TryLock(path)
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, fmt.Errorf("%s was just made and is locked by somebody", path)
	}
	lease = &Lease{machine: m, path: path, file: file, claim: ask}
	if err := lease.write(); err != nil {
		return nil, errors.Join(err, lease.Release())
	}
	return lease, nil
}

// advance makes a waiting claim one that holds, if it can.
func (m *Machine) advance(ctx context.Context, lease *Lease) (held bool, err error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	others, err := m.scan()
	if err != nil {
		return false, err
	}
	lease.mu.Lock()
	defer lease.mu.Unlock()
	others = slices.DeleteFunc(others, func(c claim) bool { return c.name == filepath.Base(lease.path) })
	if !m.fit(&lease.claim, others) {
		return false, nil
	}
	lease.claim.Held = true
	lease.claim.Since = time.Now().UTC().Round(0)
	return true, lease.write()
}

// write writes the claim. Others read it under the lock of the folder only.
func (l *Lease) write() error {
	data, err := json.Marshal(l.claim)
	if err != nil {
		return err
	}
	if err := l.file.Replace(append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	return nil
}

func (m *Machine) lock(ctx context.Context) (unlock func() error, err error) {
	lock, err := flock.Lock(ctx, filepath.Join(m.dir, lockName))
	if err != nil {
		return nil, err
	}
	return lock.Unlock, nil
}

// scan returns the claims of living processes in the order of their coming, and
// removes what dead ones have left. The caller holds the lock.
func (m *Machine) scan() ([]claim, error) {
	entries, err := os.ReadDir(m.dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var out []claim
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		path := filepath.Join(m.dir, entry.Name())
		held, err := flock.Held(path)
		if err == nil && !held {
			err = os.Remove(path)
			if err == nil {
				continue
			}
		}
		var data []byte
		if err == nil {
			data, err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // released just now
		}
		if err != nil {
			return nil, err
		}
		c, err := decode(data)
		c.name = entry.Name()
		if err == nil {
			_, err = fmt.Sscanf(c.name, "%d-", &c.seq)
		}
		if err != nil {
			return nil, fmt.Errorf("the claim of a living process, %s, cannot be read, so what it holds is not known; "+
				"end that process (its number is at the end of the name): %w", path, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// fit gives a claim its GPUs and returns true where all it asks for is free, and
// no earlier claim waits for it.
func (m *Machine) fit(ask *claim, others []claim) bool {
	memory, cpus := m.has.MemoryBytes, m.factor*m.has.CPUs
	free := slices.Clone(m.gpus)
	remove := func(which []device) {
		free = slices.DeleteFunc(free, func(g GPU) bool {
			return slices.ContainsFunc(which, func(d device) bool { return d.is(g) })
		})
	}
	for _, c := range others {
		if c.Held {
			memory -= c.MemoryBytes
			cpus -= c.CPUs
			remove(c.GPUs)
		}
	}
	// What is free and an earlier one waits for is as good as taken.
	for _, c := range others {
		if c.Held || c.seq > ask.seq {
			continue
		}
		memory -= min(max(memory, 0), c.MemoryBytes)
		cpus -= min(max(cpus, 0), c.CPUs)
		if len(c.Want) > 0 {
			remove(c.Want)
		} else {
			free = free[min(len(free), c.Count):]
		}
	}
	if ask.MemoryBytes > 0 && ask.MemoryBytes > memory || m.factor > 0 && ask.CPUs > 0 && ask.CPUs > cpus*(1+1e-9) {
		return false
	}
	got := free[:min(len(free), ask.Count)]
	if len(ask.Want) > 0 {
		got = nil
		for _, d := range ask.Want {
			if i := slices.IndexFunc(free, d.is); i >= 0 {
				got = append(got, free[i])
			}
		}
	}
	if len(got) < ask.Count {
		return false
	}
	ask.GPUs = devices(got)
	return true
}

// Holder is a claim as people are told of it.
type Holder struct {
	PID   int
	Owner string
	// Since is when it got what it holds, or began to wait.
	Since   time.Time
	Waiting bool
	// Resources that it holds or waits for.
	Resources Resources
	// GPUs that it holds, by the numbers that its process knows them by.
	GPUs []int

	name string
}

// String says it in one line.
func (h Holder) String() string {
	verb := "holds"
	if h.Waiting {
		verb = "waits for"
	}
	text := fmt.Sprintf("process %d (%s) %s %v", h.PID, h.Owner, verb, h.Resources)
	if len(h.GPUs) > 0 {
		text += fmt.Sprintf(" (GPU %s)", strings.Trim(fmt.Sprint(h.GPUs), "[]"))
	}
	return text + " since " + h.Since.Format(time.RFC3339)
}

// Holders returns the claims of all living processes in the order of their
// coming.
func (m *Machine) Holders() (out []Holder, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	unlock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	claims, err := m.scan()
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		h := Holder{
			PID: c.PID, Owner: c.Owner, Since: c.Since, Waiting: !c.Held, name: c.name,
			Resources: Resources{MemoryBytes: c.MemoryBytes, CPUs: c.CPUs, GPUs: c.Count},
		}
		for _, d := range c.GPUs {
			h.GPUs = append(h.GPUs, d.Index)
		}
		out = append(out, h)
	}
	return out, nil
}
