package docker

import (
	"errors"
	"slices"
	"testing"

	"mlgym/sandbox"
)

func TestContainerAsksForGPUs(t *testing.T) {
	spec := sandbox.Spec{ID: "x", GPUs: []int{2, 0}, Limits: sandbox.DefaultLimits}
	options, err := containerOptions(&engine{}, spec, "image", "/shim")
	if err != nil {
		t.Fatal(err)
	}
	requests := options.HostConfig.DeviceRequests
	if len(requests) != 1 || requests[0].Driver != "nvidia" || !slices.Equal(requests[0].DeviceIDs, []string{"2", "0"}) {
		t.Errorf("got %+v, want the devices 2 and 0", requests)
	}
	spec.GPUs = nil
	options, err = containerOptions(&engine{}, spec, "image", "/shim")
	if err != nil || options.HostConfig.DeviceRequests != nil {
		t.Errorf("without GPUs: got %+v, %v; want no request", options.HostConfig.DeviceRequests, err)
	}
}

func TestExplainGPUs(t *testing.T) {
	said := errors.New(`could not select device driver "nvidia" with capabilities: [[gpu]]`)
	u := (*sandbox.UnavailableError)(nil)
	if !errors.As(explainGPUs([]int{0}, said), &u) || u.Fix == "" {
		t.Errorf("got %v, want an UnavailableError with a fix", explainGPUs([]int{0}, said))
	}
	if err := explainGPUs(nil, said); errors.As(err, &u) {
		t.Errorf("no GPU was asked for: got %v", err)
	}
}
