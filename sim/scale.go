package sim

import "fmt"

// scaleFault is what Scale makes.
type scaleFault struct {
	group string
	by    int
}

// Scale changes how many nodes a group has that the world can scale ([World.OnScale]), by so many more or,
// if negative, fewer.
func Scale(group string, by int) Fault { return scaleFault{group, by} }

func (f scaleFault) Kind() string   { return "scale" }
func (f scaleFault) String() string { return fmt.Sprintf("scale(%s, %+d)", f.group, f.by) }

// OnScale says how a group of nodes is scaled: scale is called, by the loop, with how many more nodes there
// are to be, or, if negative, how many fewer. Its error makes the run fail.
func (w *World) OnScale(group string, scale func(by int) error) {
	if w.scalers[group] != nil {
		w.Failf("sim: the group %q is scaled by two functions; give each group one", group)
		return
	}
	w.scalers[group] = scale
	w.groups = append(w.groups, group)
}

func (f scaleFault) apply(w *World, bite func()) error {
	scale := w.scalers[f.group]
	if scale == nil {
		return fmt.Errorf("there is no group %q to scale; the groups are %q", f.group, w.groups)
	}
	if err := scale(f.by); err != nil {
		return err
	}
	bite()
	return nil
}
