package properties

import (
	"fmt"
	"io"

	"github.com/anishathalye/porcupine"

	"github.com/twohop/twohop/model"
)

// VisualizeLinearizable writes an HTML page, complete in itself, that shows the operations of every
// room's log over the steps of the run and the longest linear orders that were found: the operation
// that fits nowhere is plain to see. It takes at most [DefaultLimit] of wall-clock time to search.
func VisualizeLinearizable(h *model.History, w io.Writer) error {
	if err := model.WellFormed(h); err != nil {
		return fmt.Errorf("visualize linearizability: malformed history: %w", err)
	}
	m := logModel(roomLogs(h.Events))
	_, info := porcupine.CheckOperationsVerbose(m, nil, DefaultLimit)
	if err := porcupine.Visualize(m, info, w); err != nil {
		return fmt.Errorf("visualize linearizability: %w", err)
	}
	return nil
}
