package experiment

import (
	"context"
	"errors"
	"sync"
	"time"

	"mlgym/machine"
)

// room is the memory, processors and GPUs that the episodes of this process
// take. Agents hold theirs as long as they live. Gradings, which are short, take
// turns: what the largest of them needs is always held back, so that an agent
// that waits for its grading is sure to get it, however full the machine is.
type room struct {
	machine *machine.Machine
	owner   string
	// most is how many gradings run at once.
	most int

	mu sync.Mutex
	// places are those of the episodes that run.
	places map[*place]bool
	// back are the leases that are held for gradings, held their memory together,
	// and used what the gradings under way take of it.
	back   []heldBack
	held   int64
	used   int64
	active int
	ended  chan struct{} // closed, and made anew, when a grading ends
}

type heldBack struct {
	lease *machine.Lease
	bytes int64
}

func newRoom(m *machine.Machine, owner string, gradings int) *room {
	return &room{machine: m, owner: owner, most: max(1, gradings), places: map[*place]bool{}, ended: make(chan struct{})}
}

// place is what one episode takes.
type place struct {
	room  *room
	lease *machine.Lease
	// grading is the memory that one of its gradings takes.
	grading int64
}

// cut bounds what an episode claims by what there is.
func (r *room) cut(c *Cell) (needs machine.Resources, grading int64) {
	has := r.machine.Has()
	needs, grading = c.Needs, c.GradingBytes
	needs.CPUs = min(needs.CPUs, has.CPUs)
	if needs.MemoryBytes+grading > has.MemoryBytes {
		needs.MemoryBytes, grading = has.MemoryBytes, 0
	}
	return needs, grading
}

// take finds a place for an episode, nil where there is none now.
func (r *room) take(c *Cell) (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	needs, grading := r.cut(c)
	p := &place{room: r, grading: grading}
	lease, ok, err := r.machine.TryClaim(machine.Request{Resources: needs, Owner: r.owner + " " + c.Name})
	if err != nil || !ok {
		return nil, err
	}
	p.lease = lease
	if grading > r.held {
		if ok, err := r.grow(grading - r.held); err != nil || !ok {
			return nil, errors.Join(err, lease.Release())
		}
	}
	r.places[p] = true
	return p, nil
}

// grow holds more memory back for gradings. The caller holds mu.
func (r *room) grow(bytes int64) (bool, error) {
	lease, ok, err := r.machine.TryClaim(machine.Request{Resources: machine.Resources{MemoryBytes: bytes}, Owner: r.owner + " (gradings)"})
	if err != nil || !ok {
		return false, err
	}
	r.back = append(r.back, heldBack{lease, bytes})
	r.held += bytes
	return true, nil
}

// shrink gives back what is not needed for gradings. The caller holds mu.
func (r *room) shrink() error {
	need := r.used
	for p := range r.places {
		need = max(need, p.grading)
	}
	var kept []heldBack
	var err error
	for _, h := range r.back {
		if r.held-h.bytes < need {
			kept = append(kept, h)
			continue
		}
		r.held -= h.bytes
		err = errors.Join(err, h.lease.Release())
	}
	r.back = kept
	return err
}

// leave gives the place back.
func (p *place) leave() error {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.places, p)
	return errors.Join(p.lease.Release(), r.shrink())
}

// grade waits until a grading of the episode may begin.
func (p *place) grade(ctx context.Context) (func(), error) {
	// Memory that another process lets go of is looked for so often.
	const look = 2 * time.Second
	r := p.room
	for {
		ok, ended, err := r.admit(p.grading) //nolint:contextcheck // a claim that does not wait
		if err != nil {
			return nil, err
		}
		if ok {
			return func() { r.graded(p.grading) }, nil
		}
		timer := time.NewTimer(look)
		select {
		case <-ended:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		timer.Stop()
	}
}

func (r *room) admit(bytes int64) (ok bool, ended chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active >= r.most {
		return false, r.ended, nil
	}
	if short := r.used + bytes - r.held; short > 0 {
		if ok, err := r.grow(short); err != nil || !ok {
			return false, r.ended, err
		}
	}
	r.used += bytes
	r.active++
	return true, nil, nil
}

func (r *room) graded(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= bytes
	r.active--
	_ = r.shrink() // a lease that cannot be given back ends with the process
	close(r.ended)
	r.ended = make(chan struct{})
}
