// Package plots draws what a run's history shows.
//
// Its noun is the [Figure]: made from a [model.History], or from numbers, by a function of this package, one
// per file, and written as PNG and SVG by [Save]. There is one look for all of them, in style.go.
//
// Start with [Timeline], which shows a run's faults and what its clients saw of them, and
// [DeliveryCDF], which compares transports. [ClosedForm] holds simulated latencies against what a formula says.
//
// # Determinism
//
// The same history gives the same files, byte for byte, with the same build. Other processors may
// round some pixels differently.
//
// # Limitations
//
// Text is set in the Liberation fonts. The SVG does not carry them: a viewer without them takes
// another sans-serif font, of like width. Dots and vertices that fall on one another at the figure's
// resolution are drawn once, so a figure cannot be read back into its numbers.
package plots
