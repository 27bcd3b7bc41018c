//go:build !linux

package hop1

import (
	"net"
	"time"
)

// setTCPUserTimeout does nothing: package net's connections have no such option here.
func setTCPUserTimeout(*net.TCPConn, time.Duration) error { return nil }
