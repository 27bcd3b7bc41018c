package netsim_test

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim/kernel"
)

var record = flag.String("record", "", "measure this machine's kernel for package kernel, and write what it did to this `file`; needs what -live needs, some minutes, and a machine with nothing else to do")

// recordWork is as much as forty of the runs that package kernel has one by one, at once.
var recordWork = liveJob{Connections: 40, Messages: kernel.MessageCount, Interval: kernel.MessageInterval}

// Goal: the file many.csv of package kernel can be made again, on this kernel or another.
// Method: forty connections at once under each condition, between two network namespaces. A measurement in
// which the forwarder was late is made again.
func TestLiveRecord(t *testing.T) {
	if *record == "" {
		t.Skip("measures for minutes: run with -record FILE")
	}
	const permilles = 1001
	rows := make([][]string, 1+permilles)
	rows[0] = []string{"permille"}
	for i := range permilles {
		rows[1+i] = []string{strconv.Itoa(i)}
	}
	for _, loss := range []float64{0.005, 0.01, 0.02, 0.03, 0.05} {
		for _, congestion := range []string{"cubic", "reno"} {
			rows[0] = append(rows[0], fmt.Sprintf("loss%g_%s", 100*loss, congestion))
			pooled := recordKernel(t, loss, congestion)
			for i := range permilles {
				rows[1+i] = append(rows[1+i], strconv.FormatInt(pooled.Quantile(float64(i)/(permilles-1)).Microseconds(), 10))
			}
		}
	}
	f, err := os.Create(*record)
	require.NoError(t, err)
	require.NoError(t, errors.Join(csv.NewWriter(f).WriteAll(rows), f.Close()))
}

// recordKernel measures under one condition, and pools all connections.
func recordKernel(t *testing.T, loss float64, congestion string) (pooled kernel.Distribution) {
	job := recordWork
	job.Congestion = congestion
	measured := t.Run(fmt.Sprintf("%s at %g %%", congestion, 100*loss), func(t *testing.T) {
		const attempts = 3
		deadline := time.Now().Add(attempts * 2 * time.Duration(job.Messages) * job.Interval)
		server, client := startEndpoint(t, serverAddress, deadline), startEndpoint(t, clientAddress, deadline)
		path := startPath(client.tun, server.tun, kernel.Latency)
		t.Cleanup(func() { require.NoError(t, path.close()) })
		path.setLoss(loss)
		for range attempts {
			o, noise := observeKernel(t, path, server, client, job)
			if noise < liveNoise/10 {
				pooled = kernel.Pool(o.messages...)
				return
			}
		}
		t.Fatalf("this machine is too busy to measure: its forwarder was late %d times", attempts)
	})
	require.True(t, measured)
	return pooled
}
