package machine

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// tree makes files below a folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestReadBounds(t *testing.T) {
	const (
		meminfo = "MemTotal:       16777216 kB\nMemFree: 1 kB\n"
		v2      = "35 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		v1      = "33 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n34 25 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	)
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  bounds
	}{
		{"no control groups", nil, bounds{memory: 16 << 30}},
		{"version 2, no limit", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
		}, bounds{memory: 16 << 30}},
		{"version 2, own limit and a smaller one above", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/a/memory.max": "1073741824\n", "sys/fs/cgroup/a/b/memory.max": "2147483648\n",
			"sys/fs/cgroup/a/cpu.max": "400000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n",
		}, bounds{memory: 1 << 30, cpus: 1.5}},
		{"version 2 in a container with a namespace", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "1000000000\n",
		}, bounds{memory: 1e9}},
		{"version 1", map[string]string{
			"proc/self/cgroup": "5:memory:/m/x\n4:cpu,cpuacct:/c\n1:name=systemd:/s\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/m/x/memory.limit_in_bytes": "2000000000\n",
			"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
		}, bounds{memory: 2e9, cpus: 3}},
		{"version 1 without a quota", map[string]string{
			"proc/self/cgroup": "4:cpu,cpuacct:/c\n", "proc/self/mountinfo": v1,
			"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
		}, bounds{memory: 16 << 30}},
		{"version 1 in a container that sees the host's path", map[string]string{
			"proc/self/cgroup": "5:memory:/docker/abc\n", "proc/self/mountinfo": "34 25 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3000000000\n",
		}, bounds{memory: 3e9}},
		{"a path outside of the mount", map[string]string{
			"proc/self/cgroup": "0::/../../other\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "4000000000\n",
		}, bounds{memory: 4e9}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"proc/meminfo": meminfo}
			maps.Copy(files, tt.files)
			got, err := readBounds(tree(t, files))
			if got != tt.want || err != nil {
				t.Errorf("bounds = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if got, err := readBounds(t.TempDir()); err == nil {
		t.Errorf("bounds of nothing = %+v", got)
	}
}

func TestReadBoundsOfThisMachine(t *testing.T) {
	got, err := readBounds("/")
	if err != nil || got.memory <= 0 {
		t.Errorf("bounds = %+v, %v; want some memory", got, err)
	}
}

// information is in the form of the driver.
func information(model, uuid, minor string) string {
	return "Model: \t\t " + model + "\nIRQ:   \t\t 180\nGPU UUID: \t " + uuid + "\nBus Type: \t PCIe\nDevice Minor: \t " + minor + "\n"
}

func TestGPUsOfTheDriverAndOfItsProgram(t *testing.T) {
	root := tree(t, map[string]string{
		"proc/driver/nvidia/gpus/0000:65:00.0/information": information("NVIDIA A", "GPU-????????-????-????-????-????????????", "1"),
		"proc/driver/nvidia/gpus/0000:17:00.0/information": information("NVIDIA B", "GPU-bbb", "0"),
		"proc/driver/nvidia/gpus/0000:ca:00.0/information": information("NVIDIA hidden", "GPU-ccc", "2"),
		"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "",
	})
	listed := driverGPUs(root)
	want := []GPU{{Index: 0, Name: "NVIDIA B", UUID: "GPU-bbb"}, {Index: 1, Name: "NVIDIA A"}}
	hidden := cmpopts.IgnoreUnexported(GPU{})
	if diff := cmp.Diff(want, listed, hidden); diff != "" {
		t.Errorf("of the driver (-want +got):\n%s", diff)
	}
	// Of a container with one device: its program counts from 0.
	smi := parseSMI("0, NVIDIA A, 81559, GPU-aaa, 00000000:65:00.0\n\nnonsense\n")
	want = []GPU{{Index: 1, Name: "NVIDIA A", UUID: "GPU-aaa", MemoryBytes: 81559 << 20}}
	if diff := cmp.Diff(want, joined(smi, listed), hidden); diff != "" {
		t.Errorf("joined (-want +got):\n%s", diff)
	}
	smi = parseSMI("0, NVIDIA GB10, [N/A], GPU-aaa, 0000000F:01:00.0\n")
	want = []GPU{{Index: 0, Name: "NVIDIA GB10", UUID: "GPU-aaa"}}
	if diff := cmp.Diff(want, joined(smi, nil), hidden); diff != "" {
		t.Errorf("without the driver's files (-want +got):\n%s", diff)
	}
	if got := joined(nil, listed); len(got) != 2 {
		t.Errorf("without the program: %v, want what the driver lists", got)
	}
	if got := seenGPUs(t.Context(), t.TempDir()); len(got) != 0 {
		t.Errorf("where nothing is: %v", got)
	}
}

func TestVisible(t *testing.T) {
	seen := []GPU{{Index: 0, UUID: "GPU-a1"}, {Index: 1, UUID: "GPU-b2"}, {Index: 2, UUID: "GPU-c3"}, {Index: 3, UUID: "GPU-d4"}}
	for _, tt := range []struct {
		name string
		env  map[string]string
		want []int
	}{
		{"nothing said", nil, []int{0, 1, 2, 3}},
		{"CUDA", map[string]string{"CUDA_VISIBLE_DEVICES": "2,0"}, []int{2, 0}},
		{"CUDA by names", map[string]string{"CUDA_VISIBLE_DEVICES": "GPU-d, GPU-b2"}, []int{3, 1}},
		{"CUDA stops at the first that is not there", map[string]string{"CUDA_VISIBLE_DEVICES": "1,-1,2"}, []int{1}},
		{"CUDA none", map[string]string{"CUDA_VISIBLE_DEVICES": ""}, []int{}},
		{"NVIDIA all", map[string]string{"NVIDIA_VISIBLE_DEVICES": "all"}, []int{0, 1, 2, 3}},
		{"NVIDIA void", map[string]string{"NVIDIA_VISIBLE_DEVICES": "void"}, []int{}},
		{"NVIDIA two", map[string]string{"NVIDIA_VISIBLE_DEVICES": "1,GPU-c3"}, []int{1, 2}},
		{"NVIDIA four numbered anew", map[string]string{"NVIDIA_VISIBLE_DEVICES": "4,5,6,7"}, []int{0, 1, 2, 3}},
		{"NVIDIA, and CUDA among them", map[string]string{"NVIDIA_VISIBLE_DEVICES": "1,2,3", "CUDA_VISIBLE_DEVICES": "0"}, []int{1}},
		{"Slurm", map[string]string{"SLURM_JOB_GPUS": "2"}, []int{2}},
		{"Slurm's CUDA is believed", map[string]string{"SLURM_JOB_GPUS": "3", "CUDA_VISIBLE_DEVICES": "0"}, []int{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := numbers(visible(slices.Clone(seen), func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("visible (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDevicesOfOtherNumbers has two containers call different devices 0.
func TestDevicesOfOtherNumbers(t *testing.T) {
	mine := &Machine{has: Resources{GPUs: 1}, gpus: []GPU{{Index: 0, UUID: "GPU-a"}}}
	for name, tt := range map[string]struct {
		held device
		fits bool
	}{
		"the same":                        {device{5, "GPU-a"}, false},
		"another of the same number":      {device{0, "GPU-b"}, true},
		"one of the same number, no name": {device{0, ""}, false},
	} {
		ask := claim{Count: 1, seq: 2}
		if got := mine.fit(&ask, []claim{{Held: true, Count: 1, GPUs: []device{tt.held}, seq: 1}}); got != tt.fits {
			t.Errorf("%s is held: fits = %t, want %t", name, got, tt.fits)
		}
	}
}

// TestOrder decides who may go first.
func TestOrder(t *testing.T) {
	m := &Machine{
		has: Resources{MemoryBytes: 100, CPUs: 4, GPUs: 3}, factor: 2,
		gpus: []GPU{{Index: 0}, {Index: 1}, {Index: 2}},
	}
	held := func(memory int64, gpus ...int) claim {
		c := claim{Held: true, MemoryBytes: memory, Count: len(gpus)}
		for _, g := range gpus {
			c.GPUs = append(c.GPUs, device{Index: g})
		}
		return c
	}
	for _, tt := range []struct {
		name   string
		others []claim
		ask    claim
		gpus   []int // nil: does not fit
	}{
		{"all is free", nil, claim{MemoryBytes: 100, Count: 3, CPUs: 8}, []int{0, 1, 2}},
		{"nothing asked for, nothing free", []claim{held(100, 0, 1, 2)}, claim{}, []int{}},
		{"the rest", []claim{held(60, 1)}, claim{MemoryBytes: 40, Count: 2}, []int{0, 2}},
		{"a byte too much", []claim{held(60)}, claim{MemoryBytes: 41}, nil},
		{"this very one", []claim{held(0, 1)}, claim{Count: 1, Want: []device{{Index: 1}}}, nil},
		{"this very one is free", []claim{held(0, 1)}, claim{Count: 2, Want: []device{{Index: 2}, {Index: 0}}}, []int{2, 0}},
		{"processors", []claim{{Held: true, CPUs: 5}}, claim{CPUs: 3}, []int{}},
		{"too many processors", []claim{{Held: true, CPUs: 5}}, claim{CPUs: 3.5}, nil},
		{"an earlier one waits for all GPUs", []claim{held(0, 0), {Count: 3, MemoryBytes: 10}}, claim{Count: 1}, nil},
		{"it leaves memory", []claim{held(0, 0), {Count: 3, MemoryBytes: 10}}, claim{MemoryBytes: 90}, []int{}},
		{"and no more", []claim{held(0, 0), {Count: 3, MemoryBytes: 10}}, claim{MemoryBytes: 91}, nil},
		{"an earlier one waits for one that is held", []claim{held(0, 0), {Count: 1, Want: []device{{Index: 0}}}}, claim{Count: 2}, []int{1, 2}},
		{"a later one waits", []claim{held(0, 0), {Count: 2, seq: 9}}, claim{Count: 2}, []int{1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := tt.ask
			ask.seq = 5
			fits := m.fit(&ask, tt.others)
			if fits != (tt.gpus != nil) {
				t.Fatalf("fits = %t, want %t", fits, tt.gpus != nil)
			}
			got := []int{}
			for _, d := range ask.GPUs {
				got = append(got, d.Index)
			}
			if diff := cmp.Diff(tt.gpus, got); fits && diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
		})
	}
}
