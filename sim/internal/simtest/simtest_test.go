package simtest

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPipes(t *testing.T) {
	p := Listen()
	near, err := p.Connect()
	require.NoError(t, err)
	far, err := p.Accept()
	require.NoError(t, err)
	go func() { _, _ = near.Write([]byte("x")) }()
	b := make([]byte, 2)
	n, err := far.Read(b)
	require.NoError(t, err)
	require.Equal(t, "x", string(b[:n]))

	waiting, err := p.Connect()
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	_, err = waiting.Read(b)
	require.ErrorIs(t, err, io.EOF, "nobody will accept it any more")
	_, err = p.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = p.Connect()
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	full := Listen()
	for range backlogLimit {
		_, err := full.Connect()
		require.NoError(t, err)
	}
	_, err = full.Connect()
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestMarked(t *testing.T) {
	release, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		stray(release)
	}()
	require.Eventually(t, func() bool { return len(marked([]string{"nowhere", "simtest.stray"})) == 1 }, 10*time.Second, time.Millisecond)
	require.Empty(t, marked([]string{"nowhere"}))
	require.Empty(t, marked([]string{"TestMarked("}), "the goroutine that asks does not count")
	close(release)
	<-ended
	require.Eventually(t, func() bool { return len(marked([]string{"simtest.stray"})) == 0 }, 10*time.Second, time.Millisecond)
}

func stray(release <-chan struct{}) { <-release }

func TestUpTo(t *testing.T) {
	require.Equal(t, []uint64{2, 3}, UpTo(2, 3))
	require.Empty(t, UpTo(2, 1))
}
