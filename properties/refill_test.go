package properties_test

import (
	"testing"

	"github.com/twohop/twohop/properties"
)

// Whoever was where a message was lost and another took its place is told so when it comes back.
func TestRefill(t *testing.T) {
	const lost = "p publish a|p ok a e1:1|c connected e1:1|c gone|p publish b|p ok b e1:1|"
	judge(t, properties.Refill(), []judgement{
		{"told", lost + "c connected e1:1|c gap e1:1|p publish d|c deliver e1:2 d|end", legal, 0, "1 positions were filled twice; 1 clients were there"},
		{"silent", lost + "p publish d|c resumed e1:1|c deliver e1:2 d|end", illegal, 9, `client "c" went on from room-1#e1:1 without a word, though message "b" has taken the place of "a" at room-1#e1:1`},
		{"silent, and not resumed", lost + "p publish d|c connected e1:1|c deliver e1:2 d|end", illegal, 9, "without a word"},
		{"silent on a connection that lasts", "p publish a|p ok a e1:1|c connected e1:1|p publish b|p ok b e1:1|p publish d|c deliver e1:2 d|end", illegal, 7, "without a word"},
		{"told after what an edge still had", "p publish x|" + lost + "c resumed e1:1|c deliver e1:2 x|c gap e1:1|p publish d|c deliver e1:2 d|end", legal, 0, "1 clients were there"},
		{"told before", "p publish a|p ok a e1:1|c connected e1:1|c gone|c connected e1:0|c gap e1:0|c gone|p publish b|p ok b e1:1|c resumed e1:0|c deliver e1:1 b|end", legal, 0, "0 clients were there"},
		{"not there yet", "p publish a|p ok a e1:1|c connected e1:0|c gone|p publish b|p ok b e1:1|c resumed e1:0|c deliver e1:1 b|end", legal, 0, "0 clients were there"},
		{"another epoch", "p publish a|p ok a e1:1|c connected e0:1|c gone|p publish b|p ok b e1:1|p publish d|c resumed e0:1|c deliver e0:2 d|end", legal, 0, "0 clients were there"},
		{"another room", lost + "p publish d|c connected e1:1@r2|c deliver e1:2 d@r2|c connected e1:1|c gap e1:1|c gone|end", legal, 0, "1 clients were there"},
		{"beyond, of whom another tells", "p publish a|p ok a e1:1|c connected e1:3|c gone|p publish b|d connected e1:0|d deliver e1:1 b|p publish e|c resumed e1:3|c deliver e1:4 e|end", illegal, 10, "went on from room-1#e1:3"},
		{"came when it was under way", "p publish a|p ok a e1:1|q publish b|c connected e1:1|c gone|q ok b e1:1|p publish d|c resumed e1:1|c deliver e1:2 d|end", legal, 0, "0 clients were there"},
		{"came back when it was under way", "p publish a|p ok a e1:1|c connected e1:1|q publish b|c gone|c resumed e1:1|q ok b e1:1|p publish d|c deliver e1:2 d|end", illegal, 9, "without a word"},
		{"started anew when it was under way", "p publish a|p ok a e1:1|c connected e1:1|q publish b|c gone|c connected e1:1|q ok b e1:1|p publish d|c deliver e1:2 d|end", legal, 0, "0 clients were there"},
		{"the lost one is delivered late", lost + "d connected e1:0|d deliver e1:1 a|d gone|c connected e1:1|c gap e1:1|p publish e|c deliver e1:2 e|end", legal, 0, "1 positions were filled twice; 1 clients were there"},
		{"tried again", "p publish a|p ok a e1:1|p publish b|c connected e1:1|c gone|p publish b|p ok b e1:1|p publish d|c resumed e1:1|c deliver e1:2 d|end", legal, 0, "0 clients were there"},
		{"nobody comes back", lost + "end", legal, 0, "0 clients"},
		{"filled once", "p publish a|p ok a e1:1|c connected e1:0|c deliver e1:1 a|end", unknown, 0, "nothing to check"},
	})
}
