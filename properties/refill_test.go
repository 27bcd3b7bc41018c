package properties_test

import (
	"testing"

	"github.com/twohop/twohop/properties"
)

// Whoever was where a message was lost and another took its place is told so when it comes back.
func TestRefill(t *testing.T) {
	const lost = "p publish a|p ok a e1:1|c connected e1:1|c gone|p publish b|p ok b e1:1|"
	judge(t, properties.Refill(), []judgement{
		{"told", lost + "c connected e1:1|c gap e1:1|end", legal, 0, "1 positions were filled twice; 1 clients were there"},
		{"silent", lost + "c resumed e1:1|c gone|end", illegal, 8, `client "c" went on from room-1#e1:1 without a word, though message "b" has taken the place of "a" at room-1#e1:1`},
		{"silent until the next message", lost + "p publish c|p ok c e1:2|c resumed e1:1|c deliver e1:2 c|end", illegal, 10, "without a word"},
		{"told before", "p publish a|p ok a e1:1|c connected e1:1|c gone|c connected e1:0|c gap e1:0|c gone|p publish b|p ok b e1:1|c resumed e1:0|c deliver e1:1 b|end", legal, 0, "0 clients were there"},
		{"not there yet", "p publish a|p ok a e1:1|c connected e1:0|c gone|p publish b|p ok b e1:1|c resumed e1:0|c deliver e1:1 b|end", legal, 0, "0 clients were there"},
		{"another epoch", "p publish a|p ok a e1:1|c connected e0:1|c gone|p publish b|p ok b e1:1|c resumed e0:1|c gone|end", legal, 0, "0 clients were there"},
		{"another room", lost + "c connected e1:1@r2|c gone@r2|c connected e1:1|c gap e1:1|c gone|end", legal, 0, "1 clients were there"},
		{"beyond, of whom another tells", "p publish a|p ok a e1:1|c connected e1:3|c gone|p publish b|d connected e1:0|d deliver e1:1 b|c resumed e1:3|d gone|c gone|end", illegal, 10, "went on from room-1#e1:3"},
		{"nobody comes back", lost + "end", legal, 0, "0 clients"},
		{"filled once", "p publish a|p ok a e1:1|c connected e1:0|c deliver e1:1 a|end", unknown, 0, "nothing to check"},
	})
}
