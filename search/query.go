package search

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Field is a part of a step.
type Field string

// The fields of a step. What the task says at the start is the observation of
// step 0.
const (
	Any         Field = ""
	Action      Field = "action"
	Thought     Field = "thought"
	Observation Field = "observation"
)

// Fields returns the fields of a step.
func Fields() []Field { return []Field{Action, Thought, Observation} }

// Query asks for steps.
type Query struct {
	// Text is what is looked for; every text is valid, see the package's
	// documentation. With an empty one nothing is found.
	Text string
	// In is the field that has to be it. With [Any] a step's fields are looked at
	// together: of two words one may be in the action and one in the observation.
	In Field
	Filter
	// Limit is how many steps are wanted at most; 0 means 50.
	Limit int
	// PerRun is how many steps of one run are wanted at most; 0 means all.
	PerRun int
	// After goes on where a page ended: its Next.
	After string
}

// Hit is a step that was found.
type Hit struct {
	// Run that the step belongs to; hits of one run share it.
	Run *Run `json:"run"`
	// InRun is how many steps of this run were found.
	InRun int `json:"in_run"`
	Step  int `json:"step"`
	// Snippets of the fields in which something was found, in the order of
	// [Fields]; the beginning of the step where the query only says what must not
	// be there.
	Snippets []Snippet `json:"snippets"`
}

// Snippet is the part of a field that shows why it was found: one line of plain
// text, which may hold anything that an agent wrote, HTML included. Whoever
// shows it escapes it.
type Snippet struct {
	Field Field  `json:"field"`
	Text  string `json:"text"`
	// Marks are the places of what was found, in bytes of Text, in order; none
	// overlaps another.
	Marks []Span `json:"marks"`
	// Before and After say that the field has more text there.
	Before bool `json:"before"`
	After  bool `json:"after"`
}

// Page is a part of what was found. The runs that started last come first, the
// steps of a run in their order.
type Page struct {
	Hits []Hit `json:"hits"`
	// Steps and Runs are how many were found in all; where Exact is false, some of
	// them were not compared with their text, and may have the words with something
	// else between them.
	Steps int  `json:"steps"`
	Runs  int  `json:"runs"`
	Exact bool `json:"exact"`
	// Next goes on after this page, "" where nothing follows.
	Next string `json:"next,omitempty"`
}

// ErrCursor is wrapped where [Query].After is no page's Next.
var ErrCursor = errors.New("this is not where a page ended")

// defaultLimit is how many steps are returned where nobody says.
const defaultLimit = 50

// countBytes is how much text is compared to count on when a page is full.
const countBytes = 4 << 20

// begin begins to read; what is read in one transaction fits together.
func (x *Index) begin(ctx context.Context) (*sql.Tx, error) {
	for {
		db, err := x.current(ctx)
		if err != nil {
			return nil, err
		}
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err == nil {
			return tx, nil
		}
		// Another goroutine may have gone over to a new one just now.
		if again, currentErr := x.current(ctx); currentErr != nil || again == db {
			return nil, err
		}
	}
}

func endRead(tx *sql.Tx, err error) error {
	return errors.Join(err, ignoreDone(tx.Rollback()))
}

// Query finds steps. An index that is damaged is an error that wraps
// [ErrDamaged]; the next [Index.Update] makes a new one.
func (x *Index) Query(ctx context.Context, q Query) (_ Page, err error) {
	page := Page{Hits: []Hit{}, Exact: true}
	e := parse(q.Text)
	cursor, err := readCursor(q.After)
	if err != nil || e.empty() {
		return page, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	where, args, err := q.where()
	if err != nil {
		return page, err
	}
	tx, err := x.begin(ctx)
	if err != nil {
		return page, x.spoil(err)
	}
	defer func() { err = x.spoil(endRead(tx, err)) }()
	s := searcher{tx: tx, q: &q, e: &e, plan: e.plan(q.In), page: &page, cursor: cursor}
	if err := s.findRuns(ctx, where, args); err != nil {
		return page, err
	}
	if s.plan.compare {
		return page, s.compared(ctx)
	}
	return page, s.indexed(ctx)
}

// cursor is where a page ended.
type cursor struct {
	at, run int64
	step    int
	// shown is how many steps of the run were, for [Query].PerRun.
	shown int
	// steps and runs were counted up to the end of the run.
	steps, runs int
	set         bool
}

func (c cursor) String() string {
	return fmt.Sprintf("%d.%d.%d.%d.%d.%d", c.at, c.run, c.step, c.shown, c.steps, c.runs)
}

func readCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	parts := strings.Split(text, ".")
	var numbers [6]int64
	if len(parts) != len(numbers) {
		return cursor{}, fmt.Errorf("%w: %q", ErrCursor, text)
	}
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil {
			return cursor{}, fmt.Errorf("%w: %q", ErrCursor, text)
		}
	}
	return cursor{
		numbers[0], numbers[1], int(numbers[2]), int(numbers[3]), int(numbers[4]), int(numbers[5]), true,
	}, nil
}

// before reports whether a run stood on pages before.
func (c *cursor) before(r runHits) bool {
	return c.set && (r.at > c.at || r.at == c.at && r.run > c.run)
}

// runHits says how many steps of a run the index finds.
type runHits struct {
	run, at int64
	n       int
}

// searcher answers one query.
type searcher struct {
	tx     *sql.Tx
	q      *Query
	e      *expression
	plan   plan
	page   *Page
	cursor cursor
	runs   []runHits
	// texts fetches the texts of a step.
	texts *sql.Stmt
	room  []byte
	// lastRun is the run of the last hit.
	lastRun int64
}

// findRuns lists the runs in which the index finds something, in the order in
// which they are shown.
func (s *searcher) findRuns(ctx context.Context, where string, args []any) (err error) {
	if s.texts, err = s.tx.PrepareContext(ctx, "SELECT packed FROM texts WHERE id = ?"); err != nil { //nolint:sqlclosecheck // ends with its transaction
		return err
	}
	rows, err := s.tx.QueryContext(ctx, fmt.Sprintf(`SELECT found.run, found.n, runs.at
		FROM (SELECT rowid >> %d AS run, count(*) AS n FROM words WHERE words MATCH ? GROUP BY run) AS found JOIN runs ON runs.id = found.run
		WHERE %s ORDER BY runs.at DESC, runs.id DESC`, stepBits, where), append([]any{s.plan.match}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r runHits
		if err := rows.Scan(&r.run, &r.n, &r.at); err != nil {
			return err
		}
		s.runs = append(s.runs, r)
	}
	return rows.Err()
}

// room for hits on this page, of a run of which some were shown already.
func (s *searcher) wanted(shown int) int {
	n := s.q.Limit - len(s.page.Hits)
	if s.q.PerRun > 0 {
		n = min(n, s.q.PerRun-shown)
	}
	return max(0, n)
}

// indexed answers a query whose steps the index knows exactly.
func (s *searcher) indexed(ctx context.Context) error {
	for _, r := range s.runs {
		s.page.Steps += r.n
		s.page.Runs++
	}
	for i, r := range s.runs {
		if s.cursor.before(r) {
			continue
		}
		after, shown := -1, 0
		if s.cursor.set && r.run == s.cursor.run {
			after, shown = s.cursor.step, s.cursor.shown
		}
		want := s.wanted(shown)
		steps, err := s.steps(ctx, r.run, after, want+1)
		if err != nil {
			return err
		}
		more := len(steps) > want && (s.q.PerRun == 0 || shown+want < s.q.PerRun)
		last := after
		for _, step := range steps[:min(want, len(steps))] {
			texts, err := s.fetch(ctx, r.run, step)
			if err != nil {
				return err
			}
			if err := s.hit(ctx, r, step, texts); err != nil {
				return err
			}
			last, shown = step, shown+1
		}
		if len(s.page.Hits) >= s.q.Limit {
			if more || i+1 < len(s.runs) {
				s.page.Next = cursor{at: r.at, run: r.run, step: last, shown: shown}.String()
			}
			return nil
		}
	}
	return nil
}

// steps lists the steps of a run that the index finds.
func (s *searcher) steps(ctx context.Context, run int64, after, limit int) ([]int, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid LIMIT ?",
		s.plan.match, run<<stepBits+int64(after)+1, run<<stepBits|maxStep, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var steps []int
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		steps = append(steps, int(id&maxStep))
	}
	return steps, rows.Err()
}

// compared answers a query for which the texts have to be looked at.
func (s *searcher) compared(ctx context.Context) error {
	c, err := s.candidates(ctx)
	if err != nil {
		return err
	}
	s.page.Steps, s.page.Runs = s.cursor.steps, s.cursor.runs
	var next *cursor // where this page ends, once it is full
	var follows bool
	for _, r := range c.runs {
		if next != nil && c.read > countBytes {
			s.page.Exact = false
			s.page.Steps += r.n
			s.page.Runs++
			continue
		}
		if err := c.compare(ctx, r); err != nil {
			return err
		}
		again := s.cursor.set && r.run == s.cursor.run
		after, shown := -1, 0
		if again {
			after, shown = s.cursor.step, s.cursor.shown
		}
		found := c.found(r)
		if len(found) > 0 && !again {
			s.page.Steps += len(found)
			s.page.Runs++
		}
		rest := found
		for len(rest) > 0 && rest[0] <= after {
			rest = rest[1:]
		}
		want := min(s.wanted(shown), len(rest))
		if next != nil {
			follows = follows || len(found) > 0
			continue
		}
		r.n = len(found)
		for _, step := range rest[:want] {
			texts, err := s.fetch(ctx, r.run, step)
			if err != nil {
				return err
			}
			if err := s.hit(ctx, r.runHits, step, texts); err != nil {
				return err
			}
			after, shown = step, shown+1
		}
		if len(s.page.Hits) >= s.q.Limit {
			next = &cursor{at: r.at, run: r.run, step: after, shown: shown, steps: s.page.Steps, runs: s.page.Runs, set: true}
			follows = len(rest) > want && (s.q.PerRun == 0 || shown < s.q.PerRun)
			c.read = 0
		}
	}
	if next != nil && (follows || !s.page.Exact) {
		s.page.Next = next.String()
	}
	return nil
}

// candidates are the steps that the index finds, run after run as they are
// shown, from the cursor's run on. They are compared with their texts in their
// order, many at a time.
type candidates struct {
	s     *searcher
	runs  []candidateRun
	steps []candidate
	done  int // how many are compared
	read  int64
}

type candidateRun struct {
	runHits
	from, to int // its steps
}

type candidate struct {
	run   int64
	step  int
	holds bool
}

func (s *searcher) candidates(ctx context.Context) (*candidates, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", s.plan.match)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64][]int{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found[id>>stepBits] = append(found[id>>stepBits], int(id&maxStep))
	}
	c := &candidates{s: s}
	for _, r := range s.runs {
		if s.cursor.before(r) {
			continue
		}
		from := len(c.steps)
		for _, step := range found[r.run] {
			c.steps = append(c.steps, candidate{run: r.run, step: step})
		}
		c.runs = append(c.runs, candidateRun{r, from, len(c.steps)})
	}
	return c, rows.Err()
}

// found are the steps of a run that are what is looked for.
func (c *candidates) found(r candidateRun) []int {
	var steps []int
	for _, k := range c.steps[r.from:r.to] {
		if k.holds {
			steps = append(steps, k.step)
		}
	}
	return steps
}

// batchSteps and batchBytes bound what is fetched at a time.
const (
	batchSteps = 128
	batchBytes = 2 << 20
)

// compare compares the steps up to the end of a run, and a few more.
func (c *candidates) compare(ctx context.Context, r candidateRun) error {
	for c.done < r.to {
		batch, err := c.fetch(ctx)
		if err != nil {
			return err
		}
		if err := c.compareBatch(batch); err != nil {
			return err
		}
		c.done += len(batch)
	}
	return nil
}

// fetch fetches the packed texts of the next steps: one question for many, since
// a question takes longer than its answer.
func (c *candidates) fetch(ctx context.Context) ([][]byte, error) {
	ids := []byte{'['}
	next := c.steps[c.done:min(len(c.steps), c.done+batchSteps)]
	for i, k := range next {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = strconv.AppendInt(ids, k.run<<stepBits|int64(k.step), 10)
	}
	ids = append(ids, ']')
	rows, err := c.s.tx.QueryContext(ctx, "SELECT texts.id, texts.packed FROM json_each(?) AS wanted CROSS JOIN texts ON texts.id = wanted.value", string(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var batch [][]byte
	for size := 0; len(batch) < len(next) && size < batchBytes; {
		var id int64
		var packed []byte
		if !rows.Next() {
			return nil, errors.Join(errMissing, rows.Err())
		}
		if err := rows.Scan(&id, &packed); err != nil {
			return nil, err
		}
		if k := next[len(batch)]; id != k.run<<stepBits|int64(k.step) {
			return nil, errMissing
		}
		batch = append(batch, packed)
		size += len(packed)
	}
	return batch, nil
}

// errMissing: words and texts are written together.
var errMissing = fmt.Errorf("%w: a text is missing", ErrDamaged)

// compareBatch compares the packed texts of the next steps, with all processors.
func (c *candidates) compareBatch(batch [][]byte) error {
	var next, read atomic.Int64
	workers := min(runtime.GOMAXPROCS(0), len(batch)/8+1)
	faults := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var room []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= len(batch) {
					return
				}
				var u unpacked
				if u, room, faults[w] = unpack(batch[i], room); faults[w] != nil {
					return
				}
				read.Add(int64(len(room)))
				var fields texts
				for j, text := range [][]byte{u.action, u.thought, u.observation} {
					if c.s.q.In == Any || c.s.q.In == Fields()[j] {
						fields = append(fields, fold(text))
					}
				}
				c.steps[c.done+i].holds = c.s.e.holds(fields)
			}
		})
	}
	wg.Wait()
	c.read += read.Load()
	return errors.Join(faults...)
}

// stepTexts are the texts of a step as they are searched.
type stepTexts [3]struct{ text, folded []byte }

// fetch reads the texts of a step. They are valid until the next call.
func (s *searcher) fetch(ctx context.Context, run int64, step int) (*stepTexts, error) {
	var packed sql.RawBytes
	rows, err := s.texts.QueryContext(ctx, run<<stepBits|int64(step))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, errors.Join(errMissing, rows.Err())
	}
	if err := rows.Scan(&packed); err != nil {
		return nil, err
	}
	u, room, err := unpack(packed, s.room)
	s.room = room
	if err != nil {
		return nil, err
	}
	var t stepTexts
	for i, text := range [][]byte{u.action, u.thought, u.observation} {
		t[i].text = text
	}
	return &t, nil
}

// folded are the fields that are asked for, folded.
func (t *stepTexts) folded(in Field) texts {
	var out texts
	for i, f := range Fields() {
		if in != Any && in != f {
			continue
		}
		if t[i].folded == nil {
			t[i].folded = fold(bytes.Clone(t[i].text))
		}
		out = append(out, t[i].folded)
	}
	return out
}

// hit adds a step to the page.
func (s *searcher) hit(ctx context.Context, r runHits, step int, t *stepTexts) error {
	h := Hit{InRun: r.n, Step: step, Snippets: []Snippet{}}
	if n := len(s.page.Hits); n > 0 && s.lastRun == r.run {
		h.Run = s.page.Hits[n-1].Run
	} else {
		h.Run = &Run{}
		row := s.tx.QueryRowContext(ctx, "SELECT path, "+runColumns+" FROM runs WHERE id = ?", r.run)
		if err := h.Run.scan(row); err != nil {
			return err
		}
		s.lastRun = r.run
	}
	t.folded(s.q.In)
	for i, f := range Fields() {
		if t[i].folded == nil {
			continue
		}
		if snippet, ok := s.e.snippet(t[i].text, t[i].folded); ok {
			snippet.Field = f
			h.Snippets = append(h.Snippets, snippet)
		}
	}
	for i, f := range Fields() {
		if len(h.Snippets) == 0 && t[i].folded != nil && len(t[i].text) > 0 {
			_, to := cutAround(t[i].text, Span{})
			snippet := clean(t[i].text, 0, to, nil)
			snippet.Field = f
			h.Snippets = append(h.Snippets, snippet)
		}
	}
	s.page.Hits = append(s.page.Hits, h)
	return nil
}
