package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mlgym/experiment"
)

// Handler serves the metrics of an experiment, and those of this process.
func Handler(snapshot func() experiment.Status) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(snapshot), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Serve serves /metrics, and /healthz, on an address until ctx ends. It returns
// the address that it listens on, and a function that waits until all is closed.
func Serve(ctx context.Context, addr string, snapshot func() experiment.Status) (bound string, wait func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", nil, fmt.Errorf("%s is in use by another program; choose another port, or port 0 for any: %w", addr, err)
	}
	if err != nil {
		return "", nil, fmt.Errorf("listen on %s (want HOST:PORT, such as 127.0.0.1:9464): %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(snapshot))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	const patience = 10 * time.Second
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: 3 * patience, MaxHeaderBytes: 16 << 10}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // a scrape can be had again
	return listener.Addr().String(), func() error {
		stop()
		err := errors.Join(server.Close(), <-ended)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}, nil
}
