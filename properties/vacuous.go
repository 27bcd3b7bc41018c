package properties

import (
	"strings"

	"github.com/twohop/twohop/model"
)

// vacuous begins the detail of a verdict that is Unknown because the history shows nothing of what the property
// is about.
const vacuous = "nothing to check"

// Vacuous reports whether a verdict is [model.Unknown] only because there was nothing to check: no connection
// was lost, say, of which [Reconnect] could ask when it was made again.
func Vacuous(v model.Verdict) bool {
	return v.Outcome == model.Unknown && strings.HasPrefix(v.Detail, vacuous)
}
