package netsim

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// ErrHostDown is what calls on a host that has crashed, and on its connections, fail with. A program
// never sees it on a real machine, where it would have died with the host.
var ErrHostDown = errors.New("host is down")

func syscallError(call string, errno syscall.Errno) error { return os.NewSyscallError(call, errno) }

// contextError gives the error that package net reports when a context ends a dial.
func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// opError wraps an error as the methods of net.Conn do.
func (c *Conn) opError(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = syscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
