package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory"
)

// recordFile is how far the record of a run was read.
type recordFile struct {
	file  fileState
	whole int64 // bytes of the whole lines that were read
	check uint32
	lines int64
	// stopped says that a line is no event; nothing after it is read.
	stopped bool
}

// manifestFile is what was read of a manifest.
type manifestFile struct {
	file    fileState
	read    bool
	m       runstore.Manifest
	problem string
}

// maxManifestBytes bounds what is read of a manifest, or a result.
const maxManifestBytes = 16 << 20

func groupOf(action []byte) report.Group { return report.GroupCorrected(action) }

// readManifest reads the manifest where it changed, and reports whether it did.
func (r *Run) readManifest() bool {
	path := filepath.Join(r.dir, runstore.ManifestName)
	now, err := look(path)
	if r.manifest.read && now == r.manifest.file {
		return false
	}
	r.manifest = manifestFile{file: now, read: true}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.manifest.problem = runstore.ManifestName + " is missing; what the run is, is not known"
		return true
	case err == nil && now.size > maxManifestBytes:
		err = fmt.Errorf("it has %d bytes, which no manifest has", now.size)
	case err == nil:
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			r.manifest.m, err = runstore.DecodeManifest(text)
		}
	}
	if err != nil {
		r.manifest.problem = fmt.Sprintf("%s cannot be read: %s", runstore.ManifestName, reason(err))
	}
	return true
}

// reason is the text of err without the path, which the reader of a page knows.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// describe fills in what the manifest says.
func (s *state) describe(f *manifestFile) {
	m := &f.m
	s.header = Header{
		Source: search.Ours, ID: m.RunID,
		Task: m.Task, TaskVersion: m.TaskVersion, TaskDigest: m.TaskDigest, Mode: m.Mode, Variant: m.Variant, Digests: m.Digests,
		Agent: m.Agent, AgentName: m.AgentName, AgentConfig: string(m.AgentConfig), Model: m.Model, Scaffold: m.Scaffold,
		Seed: m.Seed, Limits: m.Limits, Sandbox: m.Sandbox, Host: m.Host, Prices: m.Prices, RewardKind: m.Reward,
		Metric: m.PrimaryMetric, Direction: m.Direction, Baseline: m.Baseline,
		BaselineScore: scoreOf(m.Baseline, m.PrimaryMetric), Started: m.Created,
	}
	if m.MlgymVersion != "" {
		s.header.Software = "mlgym " + m.MlgymVersion
	}
	if f.problem != "" {
		s.header.Problems = []string{f.problem}
	}
}

// refreshOwn reads what is new of a run of ours.
func (r *Run) refreshOwn(ctx context.Context) (bool, error) {
	s := r.state.Load()
	path := filepath.Join(r.dir, runstore.TrajectoryName)
	now, err := look(path)
	if err == nil && now == r.own.file && r.manifest.problem == "" {
		return r.settle(s, false), nil
	}
	renewed := r.readManifest()
	var file *os.File
	if err == nil {
		if file, now, err = open(path); err == nil {
			defer file.Close()
		}
	}
	switch {
	case err == nil && !renewed && now == r.own.file:
		return r.settle(s, false), nil // only the manifest is not there
	case err == nil && !renewed && r.own.continues(file, now):
		err := r.own.read(ctx, s, file, now)
		r.readResult(s)
		r.settle(s, true)
		return true, err
	}
	// What was read before counts no more.
	fresh := newState()
	fresh.describe(&r.manifest)
	fresh.live = s.live
	r.own = recordFile{}
	if err != nil {
		fresh.missing = missing(err)
		if !renewed && s.missing == fresh.missing {
			return r.settle(s, false), nil // it is still not there
		}
	} else if err := r.own.read(ctx, fresh, file, now); err != nil {
		r.own, r.manifest.read = recordFile{}, false
		return false, err
	}
	r.readResult(fresh)
	r.settle(fresh, true)
	r.state.Store(fresh)
	return true, nil
}

func missing(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return runstore.TrajectoryName + " is missing; the run was cut before it had a record, or the file was removed"
	}
	return fmt.Sprintf("%s cannot be read: %s", runstore.TrajectoryName, reason(err))
}

// settle finds out whether somebody writes the run, and reports whether that
// changed. Grown says that the record has just grown.
func (r *Run) settle(s *state, grown bool) bool {
	s.mu.RLock()
	before, end, written := s.live, s.end != nil, s.modified
	s.mu.RUnlock()
	now := search.Finished
	if !end {
		now = r.liveness(before, grown, time.Since(written))
	}
	if now == before {
		return false
	}
	s.mu.Lock()
	s.live = now
	s.mu.Unlock()
	return true
}

// readResult looks at result.json, from which nothing is taken that the record
// says itself.
func (r *Run) readResult(s *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result = ""
	path := filepath.Join(r.dir, runstore.ResultName)
	file, err := look(path)
	var result runstore.Result
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err == nil && file.size > maxManifestBytes:
		err = fmt.Errorf("it has %d bytes, which no result has", file.size)
	case err == nil:
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			result, err = runstore.DecodeResult(text)
		}
	}
	if err != nil {
		s.result = fmt.Sprintf("%s cannot be read: %s", runstore.ResultName, reason(err))
		return
	}
	if s.corrupt != "" || s.missing != "" {
		s.takeResult(&result)
	}
}

// takeResult makes up for a record that ends too early: what it came to is known
// all the same.
func (s *state) takeResult(result *runstore.Result) {
	s.result = "scores, cost and exit status are those of " + runstore.ResultName
	for _, st := range s.steps {
		if st.extra != nil {
			st.extra.from, st.extra.to = 0, 0
		}
	}
	s.evaluations, s.best = nil, -1
	s.addEvaluations(result.Scores)
	for i, ev := range s.evaluations {
		if ev.Step < 1 || ev.Step >= len(s.steps) {
			continue
		}
		x := s.steps[ev.Step].more()
		if x.to == 0 {
			x.from = i
		}
		x.to = i + 1
	}
	s.totals = trajectory.Totals{
		Steps: result.Steps, Requests: result.Requests, TokensIn: result.TokensIn, TokensOut: result.TokensOut,
		CostUSD: result.CostUSD, Reward: result.Reward,
	}
	s.before, s.begin = result.Seconds, s.last
	if result.Interrupted {
		return
	}
	s.end = &endEvent{ExitStatus: result.ExitStatus}
	if n := len(s.evaluations); n > 0 && result.Submission != nil {
		s.evaluations[n-1].Final = true
	}
}

// open opens a regular file for reading, and waits for nothing.
func open(path string) (*os.File, fileState, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileState{}, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		file.Close()
		return nil, fileState{}, err
	}
	return file, stateOf(info), nil
}

// continues reports whether a record is the one that was read, which may have
// grown.
func (f *recordFile) continues(file io.ReaderAt, now fileState) bool {
	if now.inode != f.file.inode || now.size < f.whole || f.file == (fileState{}) {
		return false
	}
	check, err := checksum(file, f.whole)
	return err == nil && check == f.check
}

// checksum tells apart records that were written over: of the beginning and of
// the end of the first bytes of a file.
func checksum(file io.ReaderAt, whole int64) (uint32, error) {
	const part = 4 << 10
	sum := crc32.NewIEEE()
	for _, from := range []int64{0, max(0, whole-part)} {
		if _, err := io.Copy(sum, io.NewSectionReader(file, from, min(part, whole))); err != nil {
			return 0, err
		}
	}
	return sum.Sum32(), nil
}

// read reads the record on from where it was read to. The error is that of ctx;
// what was read until then stays.
func (f *recordFile) read(ctx context.Context, s *state, file io.ReaderAt, now fileState) error {
	err := f.readLines(ctx, s, file, now.size)
	check, sumErr := checksum(file, f.whole)
	if sumErr != nil {
		check = ^f.check // it will be read anew
	}
	f.check = check
	f.file.inode = now.inode
	if err != nil {
		f.file.size, f.file.mtime = 0, 0 // it will be read on
		return err
	}
	f.file = now
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size, s.modified, s.torn = now.size, time.Unix(0, now.mtime).UTC(), 0
	if !f.stopped {
		s.torn = now.size - f.whole
	}
	return nil
}

func (f *recordFile) readLines(ctx context.Context, s *state, file io.ReaderAt, size int64) error {
	in := &lineReader{in: bufio.NewReaderSize(io.NewSectionReader(file, f.whole, size-f.whole), 64<<10)}
	for !f.stopped {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f.add(s, raw)
		}
		if err != nil {
			f.stopped = true
			s.stop(fmt.Sprintf("%s:%d: %s; the record is shown up to there", runstore.TrajectoryName, f.lines+1, reason(err)))
		}
	}
	return nil
}

// add takes in one line, whose line feed is cut off.
func (f *recordFile) add(s *state, raw []byte) error {
	e, err := decode(raw)
	if err != nil {
		if f.lines == 0 {
			return fmt.Errorf("this is not a record: %w", err)
		}
		return err
	}
	switch {
	case f.lines == 0:
		if err := checkHeader(e); err != nil {
			return err
		}
	case e.Type == trajectory.TypeHeader:
		return errors.New("a second header")
	}
	if e.Seq != f.lines {
		return fmt.Errorf("event %d follows event %d; lines are missing or doubled", e.Seq, f.lines-1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.add(e, span{f.whole, size32(len(raw))}); err != nil {
		return err
	}
	f.whole += int64(len(raw)) + 1
	f.lines++
	return nil
}

// stop says why the record is not read further.
func (s *state) stop(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt = why
}

// lineReader reads whole lines.
type lineReader struct {
	in  *bufio.Reader
	buf []byte
}

// next returns the next whole line without its line feed, or [io.EOF] where none
// follows. It is valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	if cap(l.buf) > 1<<20 {
		l.buf = nil // do not keep the memory of one huge event
	}
	l.buf = l.buf[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if len(l.buf)+len(part) > trajectory.MaxEventBytes+1 {
			return nil, fmt.Errorf("the line is longer than %d bytes", trajectory.MaxEventBytes)
		}
		switch {
		case err == nil && len(l.buf) == 0:
			return part[:len(part)-1], nil
		case err == nil:
			l.buf = append(l.buf, part...)
			return l.buf[:len(l.buf)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.buf = append(l.buf, part...)
		default:
			return nil, err
		}
	}
}

// head makes the header of what is known.
func (s *state) head() Header {
	h := s.header
	h.Problems = append([]string{}, h.Problems...)
	h.State = s.live
	h.Started = s.started
	if h.Started.IsZero() {
		h.Started = s.header.Started
	}
	h.Last, h.Modified = s.last, s.modified
	if s.hasReset && h.Source == search.Ours {
		h.Seed = s.seed
	}
	h.Steps, h.Requests = s.totals.Steps, s.totals.Requests
	h.TokensIn, h.TokensOut, h.TokensCached = s.totals.TokensIn, s.totals.TokensOut, s.totals.TokensCached
	if c := s.totals.CostUSD; c != nil {
		h.CostUSD = finite(*c)
	}
	if h.Source == search.Ours {
		h.Reward = new(s.totals.Reward)
		h.Seconds = s.before + seconds(s.begin, s.last)
	} else {
		h.Seconds = s.before
	}
	h.Evaluations = append([]Evaluation{}, s.evaluations...)
	if s.end != nil {
		h.ExitStatus, h.Cause = s.end.ExitStatus.String(), s.end.ExitStatus.Cause
		if s.end.Reason != "" {
			h.Reason = s.end.Reason
		}
		if s.end.Cause != "" {
			h.Cause = s.end.Cause
		}
		if h.Source == search.Ours {
			h.Ended = s.last
		}
	}
	if s.status != "" {
		h.ExitStatus = s.status
	}
	for i := range h.Evaluations {
		if h.Evaluations[i].Final {
			h.Score = h.Evaluations[i].Score
		}
	}
	if s.best >= 0 {
		h.Best = s.evaluations[s.best].Score
	}
	h.Fault, h.Faults, h.Notes, h.Resumes = s.fault, s.faults, s.notes, s.resumes
	h.TornBytes, h.RecordBytes = s.torn, s.size
	h.troubles(s)
	return h
}

// troubles says what is not as it should be.
func (h *Header) troubles(s *state) {
	say := func(format string, args ...any) { h.Problems = append(h.Problems, fmt.Sprintf(format, args...)) }
	broken := len(h.Problems) > 0 && h.Source == search.Ours
	switch {
	case s.missing != "" && s.live == search.Running:
		say("%s has not been begun yet", runstore.TrajectoryName)
	case s.missing != "":
		say("%s", s.missing)
	case s.corrupt != "":
		say("%s", s.corrupt)
		broken = true
	case h.Source == search.Ours && s.size == 0:
		say("%s is empty", runstore.TrajectoryName)
	}
	if broken {
		h.State = search.Broken
	}
	if s.torn > 0 && s.live != search.Running {
		say("the last line of %s is torn: %d bytes that are no whole line; the record is shown up to there", runstore.TrajectoryName, s.torn)
	}
	if s.result != "" {
		say("%s", s.result)
	}
	if s.dropped > 0 {
		say("%d notes and faults are left out, since there are too many between two steps", s.dropped)
	}
}
