package slurmtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports are taken from below those that the kernel gives to outgoing connections.
const (
	lowestPort  = 20000
	highestPort = 31999
)

// ports are reserved as long as their files are locked, which ends with the
// process at the latest. Another cluster then cannot choose one between the
// moment it was found free and the moment its daemon listens.
type ports struct {
	numbers []int
	files   []*os.File
}

func reservePorts(count int) (*ports, error) {
	dir := filepath.Join(os.TempDir(), "slurmtest-ports")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	reserved := &ports{}
	span := highestPort - lowestPort + 1
	offset := rand.IntN(span)
	for i := range span {
		if len(reserved.numbers) == count {
			return reserved, nil
		}
		number := lowestPort + (offset+i)%span
		if err := reserved.try(dir, number); err != nil {
			reserved.release()
			return nil, err
		}
	}
	reserved.release()
	return nil, fmt.Errorf("no %d free ports between %d and %d", count, lowestPort, highestPort)
}

// try reserves a port where it is free.
func (p *ports) try(dir string, number int) error {
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(number)), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil
		}
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", number)) //nolint:noctx // it does not wait
	if err != nil {
		file.Close()
		return nil //nolint:nilerr // somebody listens there: not this one
	}
	listener.Close()
	p.numbers = append(p.numbers, number)
	p.files = append(p.files, file)
	return nil
}

// release gives the ports back. The files stay: removing one that another
// process has just opened would let two hold the same port.
func (p *ports) release() {
	for _, file := range p.files {
		file.Close()
	}
}
