package machine_test

import (
	"context"
	"fmt"
	"os"

	"mlgym/machine"
)

func Example() {
	dir, err := os.MkdirTemp("", "leases")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	m, err := machine.Open(ctx, machine.Options{Dir: dir, MemoryBytes: 32 << 30, CPUs: 8, GPUs: []int{0, 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := machine.Request{Resources: machine.Resources{GPUs: 1, MemoryBytes: 20 << 30}, Owner: "example"}
	lease, err := m.Claim(ctx, req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("GPUs:", lease.GPUs())
	_, ok, err := m.TryClaim(req)
	fmt.Println("once more:", ok, err)
	fmt.Println(lease.Release())
	// Output:
	// GPUs: [0]
	// once more: false <nil>
	// <nil>
}
