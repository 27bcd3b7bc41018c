package properties_test

import (
	"testing"
	"time"

	"github.com/twohop/twohop/properties"
)

// Everybody who is there is listed, and nobody who left, each within the bound.
func TestPresence(t *testing.T) {
	const joined = "a connected 0|b connected 0|wait 2s|"
	judge(t, properties.Presence(time.Second), []judgement{
		{"all listed", joined + "o sees a_b|end", legal, 0, "told 1 times, with 2 names in all"},
		{"listed early", "a connected 0|o sees a|end", legal, 0, "with 1 names"},
		{"not listed yet", "a connected 0|o sees nothing|end", legal, 0, "with 0 names"},
		{"missing", joined + "o sees a|end", illegal, 3, `"o" was not told that "b" is in room "room-1", who has been there for 2.`},
		{"missing in a storm", "a connected 0|wait 2s|fault x|o sees nothing|wait 500ms|heal x|o sees nothing|end", legal, 0, "told 2 times"},
		{"missing just after a storm", "a connected 0|wait 2s|fault x|heal x|wait 1500ms|o sees nothing|end", legal, 0, "told 1 times"},
		{"missing long after a storm", "a connected 0|fault x|heal x|wait 2500ms|o sees nothing|end", illegal, 4, "was not told"},
		{"left a moment ago", joined + "b gone|wait 500ms|o sees a_b|end", legal, 0, "told 1 times"},
		{"left and forgotten", joined + "b gone|o sees a|end", legal, 0, "told 1 times"},
		{"left long ago", joined + "b gone|wait 1500ms|o sees a_b|wait 2s|end", illegal, 4, `"o" was told that "b" is in room "room-1", who had left 1.5`},
		{"left long ago, in a storm", joined + "b gone|fault x|wait 1500ms|o sees a_b|wait 2s|end", illegal, 5, "who had left 1.5"},
		{"came back", joined + "b gone|wait 3s|b connected 0|o sees a_b|end", legal, 0, "told 1 times"},
		{"never there", joined + "o sees a_b_c|wait 2s|end", illegal, 3, `"c" is in room "room-1", who had never been`},
		{"in another room", "a connected 0|b connected 0@r2|wait 2s|o sees a|o sees b@r2|end", legal, 0, "told 2 times"},
		{"in another room only", "a connected 0@r2|wait 2s|o sees a|wait 2s|end", illegal, 2, "who had never been"},
		{"about to come back", joined + "b gone|wait 3s|o sees a_b|wait 900ms|b connected 0|wait 3s|end", legal, 0, "told 1 times"},
		{"comes back too late", joined + "b gone|wait 3s|o sees a_b|wait 1100ms|b connected 0|end", illegal, 4, "who had left 3"},
		{"perhaps about to come back", joined + "b gone|wait 3s|o sees a_b|end", legal, 0, "told 1 times"},
		{"nobody looks", joined + "end", unknown, 0, "nothing to check"},
	})
}
