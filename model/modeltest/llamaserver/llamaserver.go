// Package llamaserver gives tests a live language model: llama.cpp's server with
// SmolLM2-135M-Instruct, as built by scripts/llama-server.sh. The server speaks
// OpenAI's Chat Completions and Responses and Anthropic's Messages.
package llamaserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym/internal/cachedir"
)

// URLVar names a server that already runs, for example one started with
// "scripts/llama-server.sh start --print-url". Tests then start none.
const URLVar = "MLGYM_LLAMA_URL"

// ContextTokens is the size of the context window of a server started here.
const ContextTokens = 8192

// startTimeout bounds the time to load the model; it takes about half a second.
const startTimeout = 2 * time.Minute

// threads is one, since several wait for each other by spinning: on a machine
// busy with other tests that made an answer ten times slower.
const threads = "1"

// version is the release that scripts/llama-server.sh builds.
const version = "11434.0.0"

// Start returns the base URL (without "/v1") of a server that answers until the
// test ends. It skips the test, and says why, where no server was built.
func Start(tb testing.TB) string {
	tb.Helper()
	if url := os.Getenv(URLVar); url != "" {
		return strings.TrimSuffix(url, "/")
	}
	binary, model, err := Find()
	if err != nil {
		tb.Skipf("no live model: %v", err)
	}
	server, err := start(binary, model)
	if err != nil {
		tb.Fatalf("start llama-server: %v", err)
	}
	tb.Cleanup(server.stop)
	return server.url
}

// Find returns the built server and its model, or an error that says how to
// build them.
func Find() (binary, model string, err error) {
	root, err := cachedir.Dir("llama", version)
	if err != nil {
		return "", "", err
	}
	binary = filepath.Join(root, "bin", "llama-server")
	model = filepath.Join(root, "model", "SmolLM2-135M-Instruct.Q4_1.gguf")
	for _, path := range []string{binary, model} {
		if _, err := os.Stat(path); err != nil {
			return "", "", fmt.Errorf("%s is not there; build it once with scripts/llama-server.sh build, or set %s", path, URLVar)
		}
	}
	return binary, model, nil
}

type server struct {
	url  string
	kill chan struct{} // closed to end the process
	done chan struct{} // closed when the process and its reader have ended
}

func (s *server) stop() {
	close(s.kill)
	<-s.done
}

var listening = regexp.MustCompile(`listening on (http://\S+)`)

// start runs the server on a free port of the loopback and waits until it says
// that it listens, which it does once the model is loaded.
func start(binary, model string) (*server, error) {
	cmd := exec.Command(binary, "--model", model, "--host", "127.0.0.1", "--port", "0", "--jinja", "--offline",
		"--threads", threads, "--ctx-size", strconv.Itoa(ContextTokens), "--parallel", "1")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer

	s := &server{kill: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan error, 1)
	read := make(chan struct{})
	go func() { // reads to the end, so that the server never blocks on its log
		defer close(read)
		ready <- s.await(reader)
		_, _ = io.Copy(io.Discard, reader)
	}()
	go func() {
		defer close(s.done)
		// The parent-death signal follows the thread that started the process, so
		// that thread stays until the process has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			_ = writer.CloseWithError(err)
			<-read
			return
		}
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			_ = cmd.Wait() // it ends by our signal
			_ = writer.CloseWithError(errors.New("the server ended"))
		}()
		select {
		case <-s.kill:
			_ = cmd.Process.Kill()
		case <-exited:
		}
		<-exited
		<-read
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case err := <-ready:
		if err != nil {
			s.stop()
			return nil, err
		}
		return s, nil
	case <-timer.C:
		s.stop()
		return nil, fmt.Errorf("no answer within %s", startTimeout)
	}
}

// await reads the log up to the line with the URL.
func (s *server) await(log io.Reader) error {
	var tail []string
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if match := listening.FindStringSubmatch(lines.Text()); match != nil {
			s.url = match[1]
			return nil
		}
		tail = append(tail, lines.Text())
		if len(tail) > 10 {
			tail = tail[1:]
		}
	}
	return fmt.Errorf("%w; the end of its log:\n%s", lines.Err(), strings.Join(tail, "\n"))
}
