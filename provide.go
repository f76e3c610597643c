package mlgym

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"mlgym/dataset"
	"mlgym/datasets"
	"mlgym/environments"
	"mlgym/grader"
	"mlgym/layer"
	"mlgym/task"
)

// Progress is told how far a preparation is. Done of total are 0 where there is
// nothing to count; bytes says what they count.
type Progress func(text string, done, total int64, bytes bool)

// Provider makes what tasks are given beside their folders: Python environments
// as read-only layers, and prepared data sets. Both are made once and kept in
// the cache. It is safe for concurrent use.
type Provider struct {
	store   *dataset.Store
	builder *layer.Builder
}

// NewProvider returns a provider that works in the cache of this machine.
// progress may be nil.
func NewProvider(progress Progress) (*Provider, error) {
	if progress == nil {
		progress = func(string, int64, int64, bool) {}
	}
	p := &Provider{}
	p.builder = layer.NewBuilder(layer.Options{Progress: func(e layer.Event) { progress(e.Text, e.Done, e.Total, false) }})
	var err error
	p.store, err = dataset.OpenStore("", dataset.Options{Secret: InstallationSecret, Interpreter: p.PreparationPython})
	return p, err
}

// EnvironmentPython builds one of the environments that ship and returns its
// interpreter on this machine.
func (p *Provider) EnvironmentPython(ctx context.Context, name string) (string, error) {
	lock, err := layer.Find(environments.Files, name)
	if err != nil {
		return "", err
	}
	return p.python(ctx, lock)
}

// PreparationPython builds the environment in which a data set is prepared and
// returns its interpreter on this machine.
func (p *Provider) PreparationPython(ctx context.Context, d *dataset.Dataset) (string, error) {
	lock, err := PreparationLock(d)
	if err != nil {
		return "", err
	}
	return p.python(ctx, lock)
}

func (p *Provider) python(ctx context.Context, lock layer.Lock) (string, error) {
	built, err := p.builder.Build(ctx, lock)
	if err != nil {
		return "", err
	}
	return built.PythonPath(), nil
}

// PreparationLock is the environment that a data set's script runs in.
func PreparationLock(d *dataset.Dataset) (layer.Lock, error) {
	if d.Environment != "" {
		return layer.Find(environments.Files, d.Environment)
	}
	text, err := d.Requirements()
	return layer.Lock{Name: "data-" + string(d.ID), Requirements: text}, err
}

// Store is where data sets are.
func (p *Provider) Store() *dataset.Store { return p.store }

// Datasets returns the data sets that ship with mlgym.
func Datasets() dataset.Catalog { return dataset.NewCatalog(datasets.Files) }

// datasetsOf returns the data sets that a task may name: its own, and those that
// ship.
func datasetsOf(t *task.Task) dataset.Catalog {
	if own, ok := t.OwnDatasets(); ok {
		return dataset.NewCatalog(own, datasets.Files)
	}
	return Datasets()
}

// lockOf returns the lock of a task's environment: its own, or one that ships.
func lockOf(t *task.Task) (layer.Lock, error) {
	if own, ok := t.OwnEnvironments(); ok {
		if _, err := fs.Stat(own, t.Environment); err == nil {
			return layer.Find(own, t.Environment)
		}
	}
	return layer.Find(environments.Files, t.Environment)
}

// Provided is what a task is given, and what of it decides scores.
type Provided struct {
	grader.Provisions
	// Layer describes the environment; nil where the task has none.
	Environment *layer.Layer
	// Digests by what they are of: "environment torch", "data fashionMnist"; and
	// "source fashionMnist", which is equal on machines that fetched the same.
	Digests map[string]string
}

// NotReadyError says that something of a task was not prepared on this machine.
type NotReadyError struct {
	Task    task.ID
	Variant string
	What    []string
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("task %s (%s) is not prepared: %v missing; run: mlgym task prepare %s --variant %s", e.Task, e.Variant, e.What, e.Task, e.Variant)
}

// LargeError says that a data set is a larger download than may be made without
// being asked for.
type LargeError struct {
	Dataset dataset.ID
	Variant string
	Bytes   int64
}

func (e *LargeError) Error() string {
	return fmt.Sprintf("the data set %s (%s) is a download of %s: run mlgym data prepare %s --variant %s first, or take --variant small",
		e.Dataset, e.Variant, dataset.Size(e.Bytes), e.Dataset, e.Variant)
}

// Ready returns what a task is given where all of it is there; else the error
// is a [*NotReadyError].
func (p *Provider) Ready(t *task.Task, variant string) (Provided, error) {
	return p.provide(t, variant, &NotReadyError{Task: t.ID, Variant: variant}, func(d *dataset.Dataset) (dataset.Prepared, error) {
		return p.store.Lookup(d, variant)
	}, func(lock layer.Lock) (layer.Layer, error) {
		if built, ok := p.builder.Lookup(lock); ok {
			return built, nil
		}
		return layer.Layer{}, dataset.ErrNotPrepared
	})
}

// Prepare builds and prepares what is missing. maxDownload bounds what is
// fetched without being asked for, in bytes; 0 means no bound.
func (p *Provider) Prepare(ctx context.Context, t *task.Task, variant string, maxDownload int64, progress Progress) (Provided, error) {
	return p.provide(t, variant, nil, func(d *dataset.Dataset) (dataset.Prepared, error) {
		if ready, err := p.store.Lookup(d, variant); err == nil {
			return ready, nil
		}
		v, err := d.Variant(variant)
		if err != nil {
			return dataset.Prepared{}, err
		}
		if len(v.Sources) > 0 && maxDownload > 0 && v.Sources[0].DownloadBytes() > maxDownload {
			return dataset.Prepared{}, &LargeError{d.ID, variant, v.Sources[0].DownloadBytes()}
		}
		return p.store.Prepare(ctx, dataset.Request{Dataset: d, Variant: variant, Progress: func(e dataset.Event) {
			if progress != nil {
				progress(e.Text, e.Done, e.Total, e.Bytes)
			}
		}})
	}, func(lock layer.Lock) (layer.Layer, error) { return p.builder.Build(ctx, lock) })
}

// provide gathers what a task is given. With missing, what cannot be had is
// listed there and the rest goes on.
func (p *Provider) provide(
	t *task.Task, variant string, missing *NotReadyError,
	data func(*dataset.Dataset) (dataset.Prepared, error), build func(layer.Lock) (layer.Layer, error),
) (Provided, error) {
	if _, err := t.Variant(variant); err != nil {
		return Provided{}, err
	}
	got := Provided{Digests: map[string]string{}}
	if t.Environment != "" {
		lock, err := lockOf(t)
		if err != nil {
			return Provided{}, fmt.Errorf("task %s: %w", t.ID, err)
		}
		built, err := build(lock)
		switch {
		case err == nil:
			got.Layer, got.Environment = built.Dir, &built
			got.Digests["environment "+t.Environment] = built.Digest
		case missing != nil:
			missing.What = append(missing.What, "environment "+t.Environment)
		default:
			return Provided{}, fmt.Errorf("task %s: %w", t.ID, err)
		}
	}
	catalog := datasetsOf(t)
	splits := map[string]dataset.ID{}
	for _, id := range t.Datasets {
		d, err := catalog.Find(dataset.ID(id))
		if err != nil {
			return Provided{}, fmt.Errorf("task %s: %w", t.ID, err)
		}
		for _, split := range d.Splits {
			if other, taken := splits[split.Name]; taken {
				return Provided{}, fmt.Errorf("task %s: its data sets %s and %s both have a split %s", t.ID, other, d.ID, split.Name)
			}
			splits[split.Name] = d.ID
		}
		prepared, err := data(d)
		switch {
		case err == nil:
			got.Data = append(got.Data, prepared)
			got.Digests["data "+id] = string(prepared.Digest)
			got.Digests["source "+id] = sourceDigest(prepared)
		case missing != nil && errors.Is(err, dataset.ErrNotPrepared):
			missing.What = append(missing.What, "data set "+id)
		default:
			return Provided{}, err
		}
	}
	if missing != nil && len(missing.What) > 0 {
		return Provided{}, missing
	}
	return got, nil
}

// sourceDigest covers what prepared data was made from and by.
func sourceDigest(p dataset.Prepared) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n", p.Definition, p.Source.Kind)
	for _, f := range p.Source.Files {
		fmt.Fprintf(sum, "%s %s\n", f.Path, f.SHA256)
	}
	return string(p.Source.Kind) + " sha256:" + hex.EncodeToString(sum.Sum(nil))
}
