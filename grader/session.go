package grader

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"mlgym/gym"
	"mlgym/python"
	"mlgym/sandbox"
	"mlgym/task"
)

// Places in a grader sandbox.
const (
	libraryDir    = "library"
	graderDir     = "grader"
	submissionDir = "submission"
	starterDir    = "starter"
)

// maxPlayers bounds how many players one grading may start.
const maxPlayers = 64

// session is one grading while it runs. The goroutine of Grade owns it.
type session struct {
	grader     *Grader
	req        Request
	submission []File
	notes      []string // of the submission, for the agent

	box     sandbox.Sandbox // the grader's
	process sandbox.Process
	channel io.ReadWriteCloser
	reader  *bufio.Reader
	log     *logFile

	players map[string]*player
	started int
	// spare is a sandbox made in advance for the first player, or nil.
	spare sandbox.Sandbox
	// spool is a folder of the host for large files of the submission.
	spool string
	// waited is the time for which answers of the submission were waited, in
	// players that have been stopped.
	waited time.Duration
}

// open collects the submission and makes the sandboxes, side by side.
func (s *session) open(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var collectErr, boxErr, spareErr error
	ready := make(chan struct{})
	wg.Go(func() {
		defer close(ready)
		if s.submission, s.notes, collectErr = collect(ctx, s.req.Submission, s.req.Task.Submission, s.spool); collectErr != nil {
			cancel(collectErr) // the sandboxes are not needed
		}
	})
	wg.Go(func() {
		spec := s.spec("grader", s.req.Task.Grading.World)
		if spec.Links = maps.Clone(s.req.Task.Links); spec.Links == nil {
			spec.Links = map[string]string{}
		}
		maps.Copy(spec.Links, s.req.Task.Grading.Links)
		s.req.Provisions.forGrader(&spec)
		s.box, boxErr = s.grader.driver.Create(ctx, spec)
		if boxErr == nil {
			<-ready
			boxErr = s.fill(ctx, collectErr)
		}
	})
	if s.req.Task.Grading.Player != nil {
		wg.Go(func() {
			s.spare, spareErr = s.newPlayer(ctx)
		})
	}
	wg.Wait()
	if collectErr != nil {
		return collectErr
	}
	return errors.Join(boxErr, spareErr)
}

// newPlayer makes a sandbox for a program. It has the task's environment and
// none of its data.
func (s *session) newPlayer(ctx context.Context) (sandbox.Sandbox, error) {
	spec := s.spec("player", s.req.Task.Grading.Player.World)
	spec.Links = s.req.Task.Links
	s.req.Provisions.environment(&spec)
	return s.grader.driver.Create(ctx, spec)
}

func (s *session) spec(purpose string, world task.World) sandbox.Spec {
	return sandbox.Spec{Purpose: purpose, Root: s.grader.opts.Root, Limits: world.Limits()}
}

// fill brings library, grader and submission into the grader sandbox, and
// starts grade.py.
func (s *session) fill(ctx context.Context, collectErr error) error {
	if collectErr != nil {
		return nil
	}
	files, err := s.req.Task.GraderFiles()
	if err != nil {
		return err
	}
	var t tarball
	t.folder(libraryDir, python.Files, func(name string) bool { return !strings.HasPrefix(name, "mlgym_grader/") })
	t.folder(graderDir, files, nil)
	if s.req.Task.Submission.Kind == task.Files {
		starter, err := s.req.Task.Starter()
		if err != nil {
			return err
		}
		t.folder(starterDir, starter, nil)
		for _, f := range s.submission {
			t.submitted(path.Join(submissionDir, f.Path), f)
		}
	}
	if err := t.put(ctx, s.box); err != nil {
		return fmt.Errorf("fill the grader's sandbox: %w", err)
	}
	// The process outlives open: its end is the end of the sandbox.
	s.process, err = s.box.Start(context.WithoutCancel(ctx), sandbox.Cmd{
		Argv: []string{
			s.python(), "-I", "-B",
			path.Join(sandbox.HomeDir, libraryDir, "mlgym_grader/main.py"),
			path.Join(sandbox.HomeDir, graderDir),
		},
		Stdout: s.log, Stderr: s.log,
		Channel: true,
	})
	if err != nil {
		return fmt.Errorf("start the grader: %w", err)
	}
	if s.channel = s.process.Channel(); s.channel == nil {
		return errors.New("start the grader: the sandbox gave no channel")
	}
	s.reader = bufio.NewReaderSize(s.channel, 1<<16)
	return nil
}

// close ends everything, also when ctx has ended. It is safe after a failed
// open.
func (s *session) close(ctx context.Context) error {
	var problems []error
	var wg sync.WaitGroup
	s.used(ctx, "grader", s.box)
	for _, p := range s.players {
		s.used(ctx, "player", p.box)
	}
	boxes := []sandbox.Sandbox{s.box, s.spare}
	logs := []*logFile{s.log}
	for _, p := range s.players {
		boxes = append(boxes, p.box)
		logs = append(logs, p.log)
	}
	errs := make([]error, len(boxes))
	for i, b := range boxes {
		if b != nil {
			wg.Go(func() { errs[i] = b.Close() })
		}
	}
	wg.Wait()
	problems = append(problems, errs...)
	for _, l := range logs {
		problems = append(problems, l.Close())
	}
	return errors.Join(problems...)
}

// used tells what a sandbox used, if anybody wants to know.
func (s *session) used(ctx context.Context, world string, box sandbox.Sandbox) {
	meter, ok := box.(sandbox.Meter)
	if s.req.Used == nil || !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if used, err := meter.Usage(ctx); err == nil {
		s.req.Used(world, used)
	}
}

// kill breaks off whatever is going on. It may be called from any goroutine
// once the grader has been started.
func (s *session) kill() {
	_ = s.process.Kill() // it may have ended already
	_ = s.channel.Close()
}

// run speaks with the grader until it gives its outcome.
func (s *session) run(ctx context.Context) (gym.Scores, map[string]float64, error) {
	variant, err := s.req.Task.Variant(s.req.Variant)
	if err != nil {
		return nil, nil, err
	}
	begin := beginMessage{
		Op: "begin", Protocol: protocolVersion,
		Task: s.req.Task.ID, Kind: s.req.Kind, Mode: s.req.Mode, Variant: s.req.Variant,
		Parameters: variant.Parameters, Seed: seed(s.req),
		Submission: path.Join(sandbox.HomeDir, submissionDir), Data: path.Join(sandbox.HomeDir, dataName),
	}
	if begin.Parameters == nil {
		begin.Parameters = map[string]any{}
	}
	for _, f := range s.submission {
		begin.Files = append(begin.Files, f.Path)
	}
	if err := s.send(begin, nil); err != nil {
		return nil, nil, s.fault(ctx, err)
	}
	for {
		payload, err := readFrame(s.reader, maxFrame)
		if err != nil {
			return nil, nil, s.fault(ctx, err)
		}
		req, body, err := decodeRequest(payload)
		if err != nil {
			return nil, nil, err
		}
		switch req.Op {
		case "score":
			if err := checkScores(s.req.Task, req.Scores, req.Details); err != nil {
				return nil, nil, err
			}
			return req.Scores, req.Details, nil
		case "invalid":
			return nil, nil, invalid("%s", printableMessage(req.Message))
		}
		answer, answerBody, err := s.serve(ctx, req, body)
		if err != nil {
			return nil, nil, err
		}
		if err := s.send(answer, answerBody); err != nil {
			return nil, nil, s.fault(ctx, err)
		}
	}
}

// serve answers one request of the grader.
func (s *session) serve(ctx context.Context, req request, body []byte) (reply, []byte, error) {
	if req.Op == "start" {
		return s.start(ctx, req)
	}
	p, ok := s.players[req.Player]
	if !ok {
		return reply{}, nil, fmt.Errorf("the grader asks for the player %q, which it has not started", req.Player)
	}
	switch req.Op {
	case "ask":
		return s.ask(ctx, p, req.Clock, body)
	case "usage":
		seconds, metered := p.usage(ctx, s.grader.opts.Log)
		return reply{OK: true, CPUSeconds: seconds, Metered: metered}, nil, nil
	case "stop":
		delete(s.players, req.Player)
		s.used(ctx, "player", p.box)
		if p.submission {
			s.waited += p.waited
		}
		if err := errors.Join(p.box.Close(), p.log.Close()); err != nil {
			return reply{}, nil, fmt.Errorf("stop player: %w", err)
		}
		return reply{OK: true}, nil, nil
	}
	return reply{}, nil, fmt.Errorf("the grader sent the unknown request %q", req.Op)
}

// start makes a player. Its workspace has the starter's files, as they were
// given out, and over them those of the submission.
func (s *session) start(ctx context.Context, req request) (reply, []byte, error) {
	bounds := s.req.Task.Grading.Player
	switch {
	case bounds == nil:
		return reply{}, nil, errors.New("the grader starts a player, and the task has none")
	case s.started == maxPlayers:
		return reply{}, nil, fmt.Errorf("the grader starts more than %d players", maxPlayers)
	case s.players[req.Player] != nil:
		return reply{}, nil, fmt.Errorf("the grader starts the player %q twice", req.Player)
	case !isName(req.Player) || !isName(req.Harness):
		return reply{}, nil, fmt.Errorf("the grader names a player %q and a harness %q", req.Player, req.Harness)
	}
	s.started++
	files, err := s.playerFiles(req.Program)
	if err != nil {
		return reply{}, nil, err
	}
	box := s.spare
	if s.spare = nil; box == nil {
		if box, err = s.newPlayer(ctx); err != nil {
			return reply{}, nil, err
		}
	}
	log, err := openLog(s.req.LogDir, "player-"+req.Player+".log")
	if err != nil {
		return reply{}, nil, errors.Join(err, box.Close())
	}
	p, err := startPlayer(ctx, box, files, s.python(), req.Harness, log)
	if err != nil {
		return reply{}, nil, errors.Join(err, box.Close(), log.Close())
	}
	p.submission = req.Program == "submission"
	s.players[req.Player] = p
	return reply{OK: true}, nil, nil
}

func (s *session) python() string { return s.req.Provisions.python(s.grader.opts.Python) }

func (s *session) playerFiles(program string) (*tarball, error) {
	t := &tarball{}
	lib, err := fs.Sub(python.Files, "mlgym_player")
	if err != nil {
		return nil, err
	}
	t.folder(path.Base(playerDir), lib, nil)
	work := path.Base(sandbox.WorkDir)
	starter, err := s.req.Task.Starter()
	if err != nil {
		return nil, err
	}
	replaced := func(name string) bool {
		return slices.ContainsFunc(s.submission, func(f File) bool { return f.Path == name })
	}
	t.folder(work, starter, replaced)
	if program == "submission" {
		for _, f := range s.submission {
			t.submitted(path.Join(work, f.Path), f)
		}
		return t, nil
	}
	files, err := s.req.Task.GraderFiles()
	if err != nil {
		return nil, err
	}
	if !isName(program) {
		return nil, fmt.Errorf("the grader names a program %q", program)
	}
	own, err := fs.Sub(files, program)
	if err != nil {
		return nil, err
	}
	t.folder(work, own, nil)
	return t, nil
}

// ask passes a question on to a player.
func (s *session) ask(ctx context.Context, p *player, clock string, body []byte) (reply, []byte, error) {
	bounds := s.req.Task.Grading.Player
	timeout := bounds.AnswerTimeout
	if clock == "start" {
		timeout = bounds.StartTimeout
	}
	left := timeout
	if p.submission {
		left = bounds.TotalTimeout - s.waited
		for _, other := range s.players {
			if other.submission {
				left -= other.waited
			}
		}
	}
	answer, err := p.ask(ctx, body, max(0, min(timeout, left)), bounds.MaxAnswerBytes)
	if err != nil {
		return reply{}, nil, s.fault(ctx, err)
	}
	if p.failed != "" && p.late && left < timeout {
		p.failed = fmt.Sprintf("is too slow: all its answers together took longer than %s", bounds.TotalTimeout)
	}
	if p.failed != "" {
		return reply{Message: p.failed}, nil, nil
	}
	return reply{OK: true}, answer, nil
}

func (s *session) send(header any, body []byte) error {
	data, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("message to the grader: %w", err)
	}
	frame := makeFrame(data)
	if body != nil {
		frame = makeFrame(data, []byte("\n"), body)
	}
	_, err = s.channel.Write(frame)
	return err
}

// fault says why the conversation with the grader broke.
func (s *session) fault(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	exit, waitErr := s.process.Wait(wait)
	switch {
	case waitErr != nil:
		return fmt.Errorf("the grader stopped answering: %w", errors.Join(err, waitErr))
	case exit.StartError != "":
		return fmt.Errorf("the grader could not be started: %s", exit.StartError)
	default:
		return fmt.Errorf("the grader ended with exit code %d and without an outcome%s: %w", exit.Code, s.where(), err)
	}
}

func (s *session) where() string {
	if s.req.LogDir == "" {
		return ""
	}
	return " (see " + path.Join(s.req.LogDir, "grader.log") + ")"
}

// checkScores refuses scores that our own grader must never give.
func checkScores(t *task.Task, scores gym.Scores, details map[string]float64) error {
	for _, m := range t.Metrics {
		value, ok := scores[m.Name]
		if !ok {
			return fmt.Errorf("the grader gave no value for the metric %s", m.Name)
		}
		if err := m.Check(value); err != nil {
			return fmt.Errorf("the grader's score: %w", err)
		}
	}
	if len(scores) != len(t.Metrics) {
		return fmt.Errorf("the grader gave %d metrics, the task declares %d", len(scores), len(t.Metrics))
	}
	for name, value := range details {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return fmt.Errorf("the grader's detail %s is not a finite number", name)
		}
	}
	return nil
}

// isName accepts what may be part of a file name: letters, digits, - and _.
func isName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// printableMessage bounds the text that goes to the agent.
func printableMessage(text string) string {
	const most = 2000
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
