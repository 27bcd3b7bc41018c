package sim_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/twohop/twohop/"

// mayImport says which of our packages a package may import, besides those below itself. A package
// below another follows the rule of the longest prefix.
var mayImport = map[string][]string{
	"model":      {},
	"netsim":     {},
	"sim":        {"netsim", "model"},
	"sim/hop1":   {"model"},
	"sim/hop2":   {"model"},
	"sim/edge":   {"model", "sim/hop1", "sim/hop2"},
	"properties": {"model"},
	"plots":      {"model"},
	"scenarios":  {"model", "netsim", "sim", "sim/hop1", "sim/hop2", "sim/edge", "properties", "plots"},
	"cmd":        {"model", "netsim", "sim", "scenarios", "plots", "properties"},
}

// source is a parsed file of this module.
type source struct {
	name string // relative to the module's root
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	var all []source
	root := ".."
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != root) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		all = append(all, source{filepath.ToSlash(rel), f, set})
		return err
	}))
	require.Greater(t, len(all), 20, "the module's files were not found")
	return all
}

func (s *source) imports() []string {
	var paths []string
	for _, i := range s.file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// rule is the entry of mayImport that a package follows.
func rule(pkg string) (string, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := mayImport[p]; ok {
			return p, true
		}
	}
	return "", false
}

// Goal: imports flow one way, so that the specification knows nothing of the machinery, and the code
// under test nothing of the simulator. Tests of a package may import what they like.
func TestImportsFlowOneWay(t *testing.T) {
	for _, s := range sources(t) {
		pkg := path.Dir(s.name)
		r, ok := rule(pkg)
		if !ok {
			t.Errorf("%s: there is no rule for package %s; give it one in mayImport", s.name, pkg)
			continue
		}
		if strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		for _, p := range s.imports() {
			ours, ok := strings.CutPrefix(p, module)
			if !ok {
				continue
			}
			target, _ := rule(ours)
			if target != r && !slices.Contains(mayImport[r], target) {
				t.Errorf("%s imports %s; %s may import only %q", s.name, p, r, mayImport[r])
			}
		}
	}
}

// Goal: nobody draws from a global generator, whose draws depend on who else draws.
func TestNoGlobalRandomness(t *testing.T) {
	constructors := []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "PCG", "ChaCha8", "Source", "Zipf"}
	for _, s := range sources(t) {
		for _, name := range []string{"math/rand", "math/rand/v2"} {
			local := localName(s.file, name)
			if local == "" || s.name == "sim/seed.go" || s.name == "sim/sim_test.go" { // these are about them
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && !slices.Contains(constructors, sel.Sel.Name) {
					t.Errorf("%v: %s.%s draws from the process's global generator; use netsim.NewRand, World.Rand or Node.Rand",
						s.set.Position(n.Pos()), local, sel.Sel.Name)
				}
				return true
			})
		}
	}
}

// Goal: the network keeps no goroutine or timer per connection: everything is an event on its heap.
func TestNetworkHasNoGoroutines(t *testing.T) {
	allowed := map[string]bool{
		"netsim/network.go": true, // the loop's one timer
	}
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.name, "netsim/") || strings.HasSuffix(s.name, "_test.go") || allowed[s.name] {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%v: a goroutine in the network; plan an event instead", s.set.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"AfterFunc", "NewTimer", "NewTicker", "After", "Sleep", "Tick"}, n.Sel.Name) {
					t.Errorf("%v: time.%s in the network; plan an event instead", s.set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// localName is what a file calls a package that it imports; "" if it does not.
func localName(f *ast.File, importPath string) string {
	for _, i := range f.Imports {
		if i.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return "rand"
	}
	return ""
}
