package machine

import (
	"cmp"
	"context"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GPU is an NVIDIA device.
type GPU struct {
	// Index is the number in /dev/nvidiaN, by which sandboxes are given it. Where
	// the driver does not tell it, it is nvidia-smi's number, mostly the same.
	Index int
	Name  string
	// MemoryBytes is 0 where nvidia-smi does not say it.
	MemoryBytes int64
	UUID        string

	bus string // its address, 0000:65:00.0
}

// smiWait bounds the call of nvidia-smi, which takes seconds where the driver has
// to start, and for ever where a device hangs.
const smiWait = 30 * time.Second

// seenGPUs returns the devices that this process can see, in the order of their
// addresses, which is how CUDA and nvidia-smi number them. None is no error, and
// neither is a driver that does not answer.
func seenGPUs(ctx context.Context, root string) []GPU {
	listed := driverGPUs(root)
	if len(listed) == 0 {
		if there, _ := filepath.Glob(filepath.Join(root, "dev/nvidia[0-9]*")); len(there) == 0 {
			return nil // so that nothing is started where there is nothing
		}
	}
	ctx, cancel := context.WithTimeout(ctx, smiWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi",
		"--query-gpu=index,name,memory.total,uuid,pci.bus_id", "--format=csv,noheader,nounits").Output()
	if err != nil {
		return listed
	}
	return joined(parseSMI(string(out)), listed)
}

// joined takes the numbers of the devices from the driver's files.
func joined(smi, listed []GPU) []GPU {
	if len(smi) == 0 {
		return listed
	}
	for i, g := range smi {
		if j := slices.IndexFunc(listed, func(l GPU) bool { return l.bus == g.bus }); j >= 0 {
			smi[i].Index = listed[j].Index
		}
	}
	return smi
}

// parseSMI reads nvidia-smi's table.
func parseSMI(text string) []GPU {
	reader := csv.NewReader(strings.NewReader(text))
	reader.TrimLeadingSpace, reader.FieldsPerRecord = true, -1
	rows, _ := reader.ReadAll() // what cannot be read is no device
	var out []GPU
	for _, row := range rows {
		if len(row) != 5 {
			continue
		}
		index, err := strconv.Atoi(row[0])
		if err != nil {
			continue
		}
		mib, _ := strconv.ParseInt(row[2], 10, 64) // "[N/A]" where memory is the machine's
		out = append(out, GPU{Index: index, Name: row[1], MemoryBytes: mib << 20, UUID: row[3], bus: busOf(row[4])})
	}
	return out
}

// busOf shortens the domain of an address to the four digits of the kernel.
func busOf(address string) string {
	address = strings.ToLower(address)
	return address[max(0, len(address)-len("0000:65:00.0")):]
}

// driverGPUs reads what the driver says in /proc, of devices whose file is there.
func driverGPUs(root string) []GPU {
	files, _ := filepath.Glob(filepath.Join(root, "proc/driver/nvidia/gpus/*/information"))
	var out []GPU
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		g := GPU{Index: -1, bus: busOf(filepath.Base(filepath.Dir(file)))}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			switch strings.TrimSpace(key) {
			case "Model":
				g.Name = value
			case "GPU UUID":
				if !strings.Contains(value, "?") { // what it says to strangers
					g.UUID = value
				}
			case "Device Minor":
				if n, err := strconv.Atoi(value); err == nil {
					g.Index = n
				}
			}
		}
		if g.Index < 0 {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "dev", "nvidia"+strconv.Itoa(g.Index))); err == nil {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b GPU) int { return cmp.Compare(a.bus, b.bus) })
	return out
}

// visible returns those that the environment leaves to this process.
//
// CUDA_VISIBLE_DEVICES counts among what is seen. The other two are said by who
// gave the process its devices, in the machine's numbers; often the rest is hidden
// already and what is left numbered anew, so where no more is seen than is listed,
// all of it is taken.
func visible(seen []GPU, env func(string) (string, bool)) []GPU {
	if list, _ := env("NVIDIA_VISIBLE_DEVICES"); list != "" && list != "all" {
		seen = given(seen, list)
	}
	if list, set := env("CUDA_VISIBLE_DEVICES"); set { // empty is none
		return listed(seen, list)
	}
	if list, _ := env("SLURM_JOB_GPUS"); list != "" {
		return given(seen, list)
	}
	return seen
}

func given(seen []GPU, list string) []GPU {
	if list == "none" || list == "void" {
		return nil
	}
	if len(seen) <= len(strings.Split(list, ",")) {
		return seen
	}
	return listed(seen, list)
}

// listed returns the devices of a list of places and names, up to the first that
// is not there, as CUDA does.
func listed(seen []GPU, list string) []GPU {
	var out []GPU
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		i, err := strconv.Atoi(entry)
		if err != nil {
			i = slices.IndexFunc(seen, func(g GPU) bool { return entry != "" && strings.HasPrefix(g.UUID, entry) })
		}
		if i < 0 || i >= len(seen) || slices.Contains(out, seen[i]) {
			break
		}
		out = append(out, seen[i])
	}
	return out
}
