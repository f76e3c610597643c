package oci

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"mlgym/sandbox"
)

func TestBundleShowsGPUs(t *testing.T) {
	dev := t.TempDir()
	for _, name := range []string{"nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"} {
		if err := os.Symlink(os.DevNull, filepath.Join(dev, name)); err != nil {
			t.Fatal(err)
		}
	}
	d := New(Options{Devices: dev})
	d.cgroups = cgroups{version: 2}
	bundle := func(gpus ...int) (*specs.Spec, error) {
		return d.bundle(t.TempDir(), sandbox.Spec{GPUs: gpus, Limits: sandbox.DefaultLimits}, d.newIdentity(), nil, &plan{}, nil)
	}
	spec, err := bundle(3)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, device := range spec.Linux.Devices {
		paths = append(paths, device.Path)
		if device.Type != "c" || device.Major != 1 || device.Minor != 3 {
			t.Errorf("got device %+v, want that of /dev/null, which 1:3 is", device)
		}
	}
	if want := []string{"/dev/nvidia3", "/dev/nvidiactl", "/dev/nvidia-uvm"}; !slices.Equal(paths, want) {
		t.Errorf("got devices %v, want %v", paths, want)
	}
	rules := spec.Linux.Resources.Devices
	if len(rules) != 4 || rules[0].Allow || !rules[1].Allow || *rules[1].Major != 1 || *rules[1].Minor != 3 {
		t.Errorf("got rules %+v, want everything refused and three devices allowed", rules)
	}
	spec, err = bundle()
	if err != nil || spec.Linux.Devices != nil || spec.Linux.Resources.Devices != nil {
		t.Errorf("without GPUs: got %v, %v, %v; want no device and no rule", spec.Linux.Devices, spec.Linux.Resources.Devices, err)
	}
	_, err = bundle(1)
	if u := (*sandbox.UnavailableError)(nil); !errors.As(err, &u) || !strings.Contains(u.Fix, "nvidia3") {
		t.Errorf("a GPU that is not there: %v, want an UnavailableError that names those that are", err)
	}
}

func TestNoGPUsWithGVisor(t *testing.T) {
	runsc := filepath.Join(t.TempDir(), "runsc")
	if err := os.WriteFile(runsc, []byte("#!/bin/sh\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	_, err := New(Options{Runtime: Runsc, RuntimePath: runsc}).Create(t.Context(), sandbox.Spec{GPUs: []int{0}})
	if u := (*sandbox.UnavailableError)(nil); !errors.As(err, &u) || !strings.Contains(u.Fix, "--sandbox") {
		t.Errorf("got %v, want an UnavailableError with what to use instead", err)
	}
}
