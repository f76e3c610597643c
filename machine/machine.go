package machine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"mlgym/internal/cachedir"
	"mlgym/internal/flock"
)

// Resources are what is asked for, or what there is.
type Resources struct {
	MemoryBytes int64 `json:"memory_bytes"`
	// CPUs may be a part of one.
	CPUs float64 `json:"cpus"`
	GPUs int     `json:"gpus"`
}

// String says resources as a person does.
func (r Resources) String() string {
	var parts []string
	if r.GPUs == 1 {
		parts = append(parts, "1 GPU")
	} else if r.GPUs > 1 {
		parts = append(parts, fmt.Sprintf("%d GPUs", r.GPUs))
	}
	if r.MemoryBytes > 0 {
		parts = append(parts, sizeText(r.MemoryBytes)+" of memory")
	}
	if r.CPUs > 0 {
		parts = append(parts, fmt.Sprintf("%.4g CPUs", r.CPUs))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func sizeText(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Options configure [Open]. The zero value takes what is there.
type Options struct {
	// Dir holds the leases; a folder below the cache where it is empty. All
	// processes that are to know of each other need the same.
	Dir string
	// MemoryBytes that may be claimed together. 0 is what the machine has, or the
	// control group of this process allows where that is less, without a reserve
	// of 5 %, 512 MiB at least.
	MemoryBytes int64
	// CPUs there are; 0 is as many as this process may use.
	CPUs float64
	// CPUFactor limits the sum of the claimed CPUs to so many times CPUs; 0 is no
	// limit.
	CPUFactor float64
	// GPUs are the numbers of those that may be claimed, whether or not they are
	// seen here. Where it is nil, they are those that are seen and that
	// CUDA_VISIBLE_DEVICES, NVIDIA_VISIBLE_DEVICES and SLURM_JOB_GPUS leave; an
	// empty list is none.
	GPUs []int
}

// Machine lends what a machine has. It is safe for concurrent use, and has
// nothing to close.
type Machine struct {
	dir    string
	has    Resources
	factor float64
	gpus   []GPU

	mu sync.Mutex
	// changed is closed, and made anew, when something was released.
	changed chan struct{}
	// waiting claims of this process, and what listens for them.
	waiting  int
	follower *follower
}

// Open looks at the machine. A folder whose file system cannot lock files is an
// error that wraps [flock.ErrUnsupported].
func Open(ctx context.Context, opts Options) (*Machine, error) {
	if opts.MemoryBytes < 0 || !amount(opts.CPUs) || !amount(opts.CPUFactor) {
		return nil, fmt.Errorf("a machine with %d bytes of memory, %v CPUs and a factor of %v: none can be negative",
			opts.MemoryBytes, opts.CPUs, opts.CPUFactor)
	}
	m := &Machine{
		dir: opts.Dir, factor: opts.CPUFactor, changed: make(chan struct{}),
		has: Resources{MemoryBytes: opts.MemoryBytes, CPUs: opts.CPUs},
	}
	bounds, err := readBounds("/")
	if m.has.MemoryBytes == 0 {
		if err != nil {
			return nil, fmt.Errorf("find out how much memory there is (say it instead): %w", err)
		}
		m.has.MemoryBytes = max(0, bounds.memory-max(reserveBytes, bounds.memory/reservePart))
	}
	if m.has.CPUs == 0 {
		m.has.CPUs = float64(runtime.NumCPU())
		if err == nil && bounds.cpus > 0 {
			m.has.CPUs = min(m.has.CPUs, bounds.cpus)
		}
	}
	seen := seenGPUs(ctx, "/")
	m.gpus = visible(seen, os.LookupEnv)
	if opts.GPUs != nil {
		if m.gpus, err = chosen(seen, opts.GPUs); err != nil {
			return nil, err
		}
	}
	m.has.GPUs = len(m.gpus)
	if err := m.makeDir(); err != nil {
		return nil, fmt.Errorf("make the folder of leases: %w", err)
	}
	// Locked once, so that a file system that cannot is told now.
	lock, err := flock.Lock(ctx, filepath.Join(m.dir, lockName))
	if err != nil {
		return nil, err
	}
	return m, lock.Unlock()
}

func (m *Machine) makeDir() error {
	if m.dir != "" {
		return os.MkdirAll(m.dir, 0o755)
	}
	// A cache may be shared by machines. Containers on one machine share the
	// number of its start; one that hides it has a name of its own.
	name := ""
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		name = strings.TrimSpace(string(id))
	}
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		name = host
	}
	var err error
	m.dir, err = cachedir.Dir("leases", name)
	return err
}

func amount(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }

// chosen returns the GPUs of the given numbers, with what is known of them.
func chosen(seen []GPU, numbers []int) ([]GPU, error) {
	out := []GPU{}
	for _, n := range numbers {
		if n < 0 || slices.ContainsFunc(out, func(g GPU) bool { return g.Index == n }) {
			return nil, fmt.Errorf("the GPUs %v: a number is negative or there twice", numbers)
		}
		gpu := GPU{Index: n}
		if i := slices.IndexFunc(seen, func(g GPU) bool { return g.Index == n }); i >= 0 {
			gpu = seen[i]
		}
		out = append(out, gpu)
	}
	return out, nil
}

// Has returns what may be claimed altogether.
func (m *Machine) Has() Resources { return m.has }

// GPUs returns those that may be claimed.
func (m *Machine) GPUs() []GPU { return slices.Clone(m.gpus) }

// Request asks for a part of a machine.
type Request struct {
	Resources

	// Want are the numbers of the GPUs that it must be; empty is any. Resources.GPUs
	// may then be 0 or their number.
	Want []int
	// Owner says to people who asks: an experiment and its episode, say.
	Owner string
}

// ErrImpossible says that a request is for more than the machine has.
var ErrImpossible = errors.New("the machine never has that much")

// ask checks a request and makes it one to be written down.
func (m *Machine) ask(req Request) (claim, error) {
	if req.MemoryBytes < 0 || !amount(req.CPUs) || req.GPUs < 0 {
		return claim{}, fmt.Errorf("a request of %q for %d bytes of memory, %v CPUs and %d GPUs: none can be negative",
			req.Owner, req.MemoryBytes, req.CPUs, req.GPUs)
	}
	c := claim{
		Version: version, PID: os.Getpid(), Owner: req.Owner,
		MemoryBytes: req.MemoryBytes, CPUs: req.CPUs, Count: req.GPUs,
	}
	if len(req.Want) > 0 {
		if req.GPUs != 0 && req.GPUs != len(req.Want) {
			return claim{}, fmt.Errorf("a request of %q for %d GPUs, and for exactly the %d of %v", req.Owner, req.GPUs, len(req.Want), req.Want)
		}
		want, err := chosen(m.gpus, req.Want)
		if err != nil {
			return claim{}, err
		}
		for _, g := range want {
			if !slices.Contains(m.gpus, g) {
				return claim{}, fmt.Errorf("%w: GPU %d is none of %v", ErrImpossible, g.Index, numbers(m.gpus))
			}
		}
		c.Count, c.Want = len(want), devices(want)
	}
	asked := Resources{MemoryBytes: c.MemoryBytes, CPUs: c.CPUs, GPUs: c.Count}
	if c.MemoryBytes > m.has.MemoryBytes || c.Count > m.has.GPUs || m.factor > 0 && c.CPUs > m.factor*m.has.CPUs {
		return claim{}, fmt.Errorf("%w: %v asked for, and it has %v", ErrImpossible, asked, m.has)
	}
	return c, nil
}

func numbers(gpus []GPU) []int {
	out := make([]int, 0, len(gpus))
	for _, g := range gpus {
		out = append(out, g.Index)
	}
	return out
}
