package explain

import (
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"

	"github.com/twohop/twohop/model"
)

// Page is a report of a run as one file of HTML, which needs no other.
type Page struct {
	// Title says what was run, such as "chat · seed 7".
	Title    string
	Verdicts []model.Verdict
	// Err is why the run failed, if it did other than by a property.
	Err string
	// Case is the violation to explain; nil if there is none.
	Case *Case
	// Last are the last steps before the violation, and Whose says of which host; "" means of all.
	Last  []string
	Whose string
	// Faults are those that befell the run.
	Faults []Fault
	// Figures are shown in their order, and Files are linked: names in the folder of the page.
	Figures []Figure
	Files   []string
	// Replay is the command line that makes the run again.
	Replay string
}

// Fault is a fault that befell a run.
type Fault struct {
	// Text is the fault with its times, and Bites how often it changed what would have happened.
	Text  string
	Bites int
}

// Figure is a picture with its name.
type Figure struct {
	Name string
	SVG  []byte
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"picture": func(svg []byte) template.URL { // a picture of our own, which runs no scripts in an img
		return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))
	},
	"lower": func(o model.Outcome) string { return strings.ToLower(string(o)) },
}).Parse(pageText))

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	data := struct {
		*Page
		Journeys []*Journey
		Diagram  []byte
	}{Page: p}
	if p.Case != nil {
		data.Journeys = p.Case.Journeys()
		var svg strings.Builder
		if err := p.Case.Diagram().WriteSVG(&svg); err != nil {
			return err
		}
		data.Diagram = []byte(svg.String())
	}
	return pageTemplate.Execute(w, data)
}
