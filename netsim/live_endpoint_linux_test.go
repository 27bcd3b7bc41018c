package netsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An endpoint is this test binary, started again in a network namespace of its own, which ends with it.
// It makes its network device, hands the device's file to the test through a socket, and then does jobs
// that come through the same socket, until that is closed: by the test, or by its end, however it ends.

// endpointAddress, in the environment, makes a process an endpoint: with that address.
const endpointAddress = "TWOHOP_TEST_ENDPOINT"

const (
	serverAddress = "10.99.0.1"
	clientAddress = "10.99.0.2"
)

// endpointJob asks the client to do a job, or, if there is none, the server what it has received.
type endpointJob struct {
	Client  *liveJob
	Receive int // how many results the server shall wait for
}

// endpointResult is the answer.
type endpointResult struct {
	Fetches  *liveFetches
	Received []liveResult
	Err      string
}

// TestLiveEndpoint is the program of an endpoint, and no test.
func TestLiveEndpoint(t *testing.T) {
	address := os.Getenv(endpointAddress)
	if address == "" {
		t.Skip("only TestLiveKernel runs this")
	}
	const inherited = 3 // the first of exec.Cmd.ExtraFiles
	conn, err := net.FileConn(os.NewFile(inherited, "control"))
	require.NoError(t, err)
	control := conn.(*net.UnixConn)
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/tcp_no_metrics_save", []byte("1"), 0))
	tun, err := openTun(address)
	require.NoError(t, err)
	_, _, err = control.WriteMsgUnix([]byte{1}, unix.UnixRights(tun), nil)
	require.NoError(t, err)
	require.NoError(t, unix.Close(tun))

	received := make(chan liveResult, 1000)
	if address == serverAddress {
		messages, err := liveListen(messagesPort)
		require.NoError(t, err)
		fetches, err := liveListen(fetchesPort)
		require.NoError(t, err)
		go runServer(messages, fetches, monotonic, received)
	}
	jobs := make(chan endpointJob)
	go readJobs(control, jobs)
	for job := range jobs {
		require.NoError(t, json.NewEncoder(control).Encode(job.do(received)))
	}
}

// readJobs reads jobs, and ends the process when there will be no more, whatever it is doing: what it waits
// for may never come when the test is gone, and the network with it.
func readJobs(control *net.UnixConn, jobs chan<- endpointJob) {
	in := json.NewDecoder(control)
	for {
		var job endpointJob
		if err := in.Decode(&job); err != nil {
			os.Exit(endpointDone)
		}
		jobs <- job
	}
}

// endpointDone is the exit status of an endpoint that has ended as it should. Package testing does not
// let a test exit with 0.
const endpointDone = 3

func (job *endpointJob) do(received <-chan liveResult) (result endpointResult) {
	for range job.Receive {
		result.Received = append(result.Received, <-received)
	}
	if job.Client != nil {
		var err error
		dial := func(port string) (net.Conn, error) {
			dialer := net.Dialer{Control: useCongestion(job.Client.Congestion), KeepAlive: -1}
			return dialer.Dial("tcp4", serverAddress+port)
		}
		if result.Fetches, err = runClient(dial, monotonic, *job.Client); err != nil {
			result.Err = err.Error()
		}
	}
	return result
}

func liveListen(port string) (net.Listener, error) {
	config := net.ListenConfig{Control: useCongestion("cubic"), KeepAlive: -1}
	config.SetMultipathTCP(false)
	return config.Listen(context.Background(), "tcp4", port)
}

// useCongestion chooses a socket's congestion control, whatever the machine has by default.
func useCongestion(name string) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var option error
		err := c.Control(func(fd uintptr) {
			option = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
		})
		return errors.Join(err, option)
	}
}

// endpoint is an endpoint's process as the test sees it.
type endpoint struct {
	cmd     *exec.Cmd
	control *net.UnixConn
	in      *json.Decoder
	output  strings.Builder
	tun     int
}

// startEndpoint starts an endpoint that must be done by a deadline. The caller closes its tun.
func startEndpoint(t *testing.T, address string, deadline time.Time) *endpoint {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	conn, err := net.FileConn(ours)
	require.NoError(t, errors.Join(err, ours.Close()))
	self, err := os.Executable()
	require.NoError(t, err)

	e := &endpoint{cmd: exec.Command(self, "-test.run", "^TestLiveEndpoint$"), control: conn.(*net.UnixConn)}
	e.in = json.NewDecoder(e.control)
	e.cmd.Env = append(os.Environ(), endpointAddress+"="+address)
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.output
	e.cmd.ExtraFiles = []*os.File{theirs}
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	require.NoError(t, errors.Join(startAhead(e.cmd), theirs.Close()), "a process in a network namespace of its own, in real time")
	t.Cleanup(func() {
		_ = e.control.Close() // which tells it to end
		err := e.cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != endpointDone {
			t.Errorf("endpoint %s: %v\n%s", address, err, e.output.String())
		}
	})
	require.NoError(t, e.control.SetDeadline(deadline))
	e.tun, err = e.receiveFile()
	require.NoError(t, err, "the endpoint makes its network device")
	return e
}

// startAhead starts a process that goes ahead of all others, so that what it measures is the network and not
// how busy the machine is. A process inherits this from the thread that starts it.
func startAhead(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := schedule(unix.SCHED_FIFO, 1); err != nil {
		return err
	}
	return errors.Join(cmd.Start(), schedule(unix.SCHED_NORMAL, 0))
}

// receiveFile takes the one file that the endpoint sends.
func (e *endpoint) receiveFile() (int, error) {
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := e.control.ReadMsgUnix(data, rights)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%d files: %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}

// do has the endpoint do a job.
func (e *endpoint) do(t *testing.T, job endpointJob) endpointResult {
	require.NoError(t, json.NewEncoder(e.control).Encode(job), "the endpoint has ended")
	var result endpointResult
	require.NoError(t, e.in.Decode(&result), "the endpoint's answer")
	require.Empty(t, result.Err)
	return result
}
