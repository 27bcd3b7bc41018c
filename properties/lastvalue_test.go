package properties_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// The key of a message in these stories is the first letter of its ID.
func TestLastValue(t *testing.T) {
	const log = "p publish a1 | p ok a1 e:1 | p publish b1 | p ok b1 e:2 | p publish a2 | p ok a2 e:3 |"
	for _, c := range []struct {
		name, story string
		want        model.Outcome
		detail      string
	}{
		{"all", "c connected e:0 |" + log + "c deliver e:1 a1 | c deliver e:2 b1 | c deliver e:3 a2 | end",
			model.Ok, "2 latest messages"},
		{"only the latest", "c connected e:0 |" + log + "c gap e:1 | c deliver e:2 b1 | c deliver e:3 a2 | end",
			model.Ok, "2 latest messages"},
		{"a gap forgives nothing", "c connected e:0 |" + log + "c gap e:2 | c deliver e:3 a2 | end",
			model.Illegal, `client "c" never saw room-1#e:2, message "b1", the latest of key "b"`},
		{"the old value is not enough", "c connected e:0 |" + log + "c deliver e:1 a1 | c deliver e:2 b1 | end",
			model.Illegal, `message "a2", the latest of key "a"`},
		{"what precedes the client is not owed", log + "c connected e:2 | c deliver e:3 a2 | end",
			model.Ok, "1 latest messages"},
		{"known by another client's sight only", "c connected e:0 | d connected e:0 | p publish a1 | p unknown a1 | d deliver e:1 a1 | end",
			model.Illegal, `client "c" never saw`},
		{"a new epoch is owed whole", "c connected e:0 |" + log +
			"c gap f:0 | p publish b2 | p ok b2 f:1 | end",
			model.Illegal, `message "b2"`},
		{"and an old one not", "c connected e:0 |" + log +
			"c gap f:0 | p publish b2 | p ok b2 f:1 | c deliver f:1 b2 | end",
			model.Ok, "1 latest messages"},
		{"two newest epochs", "c connected e:0 | d connected f:0 | end", model.Unknown, "newest"},
		{"nothing", "c connected e:0 | end", model.Unknown, "nothing to check"},
		{"cut short", "c connected e:0 |" + log + "c gone", model.Unknown, "ends before the run did"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := properties.LastValue(func(id string) string { return id[:1] }).Check(story(t, c.story))
			require.Equal(t, c.want, v.Outcome, v.String())
			require.Contains(t, v.Detail, c.detail)
		})
	}
}
