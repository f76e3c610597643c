package hostview

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"mlgym/sandbox"
)

// Device is a device file of the host, and where it is seen inside.
type Device struct{ Source, Target string }

// GPUDevices returns the device files that programs need to compute on the
// NVIDIA devices with the given numbers. dev is where they lie on the host,
// which is /dev but for tests. One that is missing is an
// [*sandbox.UnavailableError] of the driver.
func GPUDevices(driver, dev string, gpus []int) ([]Device, error) {
	if len(gpus) == 0 {
		return nil, nil
	}
	var out []Device
	for _, gpu := range gpus {
		name := "nvidia" + strconv.Itoa(gpu)
		err := add(&out, dev, name)
		if errors.Is(err, fs.ErrNotExist) {
			there, _ := filepath.Glob(filepath.Join(dev, "nvidia[0-9]*"))
			fix := "choose one of " + fmt.Sprint(there)
			if len(there) == 0 {
				fix = "use a machine with an NVIDIA GPU and its driver (nvidia-smi lists them; in a container, start it with the GPUs), or ask for no GPU"
			}
			return nil, &sandbox.UnavailableError{Driver: driver, Reason: "there is no " + filepath.Join(dev, name), Fix: fix}
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"nvidiactl", "nvidia-uvm"} {
		err := add(&out, dev, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &sandbox.UnavailableError{
				Driver: driver, Reason: "there is no " + filepath.Join(dev, name),
				Fix: "make the device files, as root: nvidia-modprobe -c 0 -u",
			}
		}
		if err != nil {
			return nil, err
		}
	}
	// What not every driver and card has; the last are of multi-instance GPUs.
	more := []string{"nvidia-uvm-tools"}
	caps, _ := os.ReadDir(filepath.Join(dev, "nvidia-caps"))
	for _, entry := range caps {
		more = append(more, "nvidia-caps/"+entry.Name())
	}
	for _, name := range more {
		if err := add(&out, dev, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return out, nil
}

func add(out *[]Device, dev, name string) error {
	source := filepath.Join(dev, name)
	if _, err := os.Stat(source); err != nil {
		return err
	}
	*out = append(*out, Device{Source: source, Target: path.Join("/dev", name)})
	return nil
}

// DriverFolders are places in hidden folders where NVIDIA's driver keeps its
// libraries and programs, on this machine: containers of Kubernetes get it there.
// Elsewhere they lie among the system's own.
func DriverFolders() []string { return driverFolders("/") }

func driverFolders(root string) []string {
	var out []string
	for _, folder := range []string{"/usr/local/nvidia"} {
		if info, err := os.Stat(filepath.Join(root, folder)); err == nil && info.IsDir() {
			out = append(out, folder)
		}
	}
	return out
}
