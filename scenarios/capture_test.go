package scenarios_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

var live = flag.Bool("live", false, "run the tests that need other programs: tshark")

// tshark dissects a capture and returns a line for each frame that the filter lets through.
func tshark(t *testing.T, file, filter string, fields ...string) []string {
	t.Helper()
	args := []string{
		"-r", file, "-Y", filter, "-T", "fields",
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		// A lost segment comes again after later ones; by default tshark takes that for corruption.
		"-o", "tcp.reassemble_out_of_order:TRUE",
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	var stderr bytes.Buffer
	cmd := exec.Command("tshark", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "tshark (Debian package tshark): %s", &stderr)
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// Goal: Wireshark understands what goes over the wire, and finds nothing wrong with it but what the
// network did.
func TestCaptureDissects(t *testing.T) {
	if !*live {
		t.Skip("needs tshark: run with -live")
	}
	for name, loss := range map[string]float64{"clean": 0, "lossy": 0.02} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "net.pcapng")
			f, err := os.Create(file)
			require.NoError(t, err)
			chat := smallChat()
			chat.Loss = loss
			report, res := scenarios.Execute(t, chat, "", sim.Config{Seed: 1, Capture: f})
			require.NoError(t, f.Close())
			require.Equal(t, model.Ok, report.Outcome(), "%s", res.Banner(nil, ""))

			require.NotEmpty(t, tshark(t, file, "websocket.opcode == 1", "frame.number"))
			require.NotEmpty(t, tshark(t, file, `http.content_type contains "text/event-stream"`, "frame.number"))
			require.NotEmpty(t, tshark(t, file, `http.request.method == "POST"`, "frame.number"))
			require.NotEmpty(t, tshark(t, file, "resp", "frame.number"), "Redis")
			interfaces := map[string]bool{}
			for _, name := range tshark(t, file, "tcp", "frame.interface_name") {
				interfaces[name] = true
			}
			require.Len(t, interfaces, 1+2+1+3+20, "redis, edges, balancer, publishers, clients")

			for _, filter := range []string{
				"_ws.malformed", `ip.checksum.status == "Bad"`, `tcp.checksum.status == "Bad"`,
				"tcp.analysis.ack_lost_segment", "tcp.analysis.window_full",
			} {
				require.Empty(t, tshark(t, file, filter, "frame.number", "_ws.col.Info"), filter)
			}
			// What is left are the broker's probes of silent connections, and retransmissions and what goes with
			// them; without loss, only those to the edge that has crashed, which never come to an end of their own.
			odd := "tcp.analysis.flags && !tcp.analysis.retransmission && !tcp.analysis.keep_alive && !tcp.analysis.keep_alive_ack"
			if loss > 0 {
				odd += " && !tcp.analysis.duplicate_ack && !tcp.analysis.out_of_order && !tcp.analysis.lost_segment && !tcp.analysis.window_update"
			}
			require.Empty(t, tshark(t, file, odd, "frame.number", "_ws.col.Info"))
			if loss == 0 {
				require.Empty(t, tshark(t, file, "tcp.analysis.flags && frame.time_relative < 2.9", "frame.number", "_ws.col.Info"))
			}
			lost := tshark(t, file, `frame.comment == "lost"`, "frame.number")
			require.Equal(t, loss > 0, len(lost) > 0)
		})
	}
}
