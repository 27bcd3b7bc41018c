package properties_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// A linearizable property draws what led to its verdict, the faults of that time, and nothing else.
func TestVisualizeVerdict(t *testing.T) {
	const k = "registry/room-1 "
	for _, c := range []struct {
		property model.Property
		story    string
		shows    []string
		leftOut  string
	}{
		{properties.Linearizable(), "fault crash(e1)|p publish a|q publish zebra @elsewhere|q ok zebra 1 @elsewhere|p ok a 1|heal crash(e1)|c deliver 1 b|c deliver 2 later|fault crash(e2)",
			[]string{"crash(e1) from step 1", "to step 6", `p: append(\"a\")`}, "zebra"},
		{properties.LinearizableRegistry(), "fault crash(k)|a calls " + k + "1 put(x)|a told " + k + "1 ok|b calls " + k + "2 get()|b told " + k + "2 nothing|p publish zebra",
			[]string{"crash(k) from step 1", "put(x)"}, "zebra"},
	} {
		h := story(t, c.story)
		v := c.property.Check(h)
		require.Equal(t, model.Illegal, v.Outcome, v.Detail)
		drawer, ok := c.property.(interface {
			Visualize(*model.History, model.Verdict, io.Writer) error
		})
		require.True(t, ok)
		var page bytes.Buffer
		require.NoError(t, drawer.Visualize(h, v, &page))
		for _, want := range c.shows {
			require.True(t, strings.Contains(page.String(), want), "%s shows %s", c.property.Name(), want)
		}
		for _, other := range []string{c.leftOut, "crash(e2)"} {
			require.False(t, strings.Contains(page.String(), other), "%s shows %s", c.property.Name(), other)
		}
	}
}
