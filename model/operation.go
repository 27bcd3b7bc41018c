package model

import (
	"fmt"
	"strconv"
	"strings"
)

// Operation is a call of a shared object, such as cas(edge-1, edge-2), as it stands in the Note of a
// [Call].
type Operation struct {
	// Name is a letter, and then letters, digits and hyphens.
	Name string
	Args []string
}

// Op gives an operation.
func Op(name string, args ...string) Operation { return Operation{name, args} }

// String gives the text form name(arg, arg), which [ParseOperation] reads back. Arguments that are not
// made of letters, digits and _ . : - alone are quoted as Go strings.
func (o Operation) String() string {
	var b strings.Builder
	b.WriteString(o.Name)
	b.WriteByte('(')
	for i, arg := range o.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return !plainRune(r) }) {
			arg = strconv.Quote(arg)
		}
		b.WriteString(arg)
	}
	b.WriteByte(')')
	return b.String()
}

func plainRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:-", r)
}

// ParseOperation reads the text form of an operation. Spaces around arguments do not matter. The error
// says what is wrong and where, counting bytes from 1.
func ParseOperation(text string) (Operation, error) {
	name, rest, found := strings.Cut(text, "(")
	if err := checkOperationName(name); err != nil {
		return Operation{}, fmt.Errorf("operation %.80q: %w", text, err)
	}
	if !found {
		return Operation{}, fmt.Errorf("operation %.80q: no parenthesis after the name; want name(arg, arg)", text)
	}
	o := Operation{Name: name}
	fail := func(what string) (Operation, error) {
		return Operation{}, fmt.Errorf("operation %.80q: byte %d: %s", text, len(text)-len(rest)+1, what)
	}
	for {
		rest = strings.TrimLeft(rest, " ")
		if len(o.Args) == 0 && rest == ")" {
			return o, nil
		}
		arg, n, err := operationArg(rest)
		if err != nil {
			return fail(err.Error())
		}
		o.Args = append(o.Args, arg)
		rest = strings.TrimLeft(rest[n:], " ")
		switch {
		case rest == ")":
			return o, nil
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		default:
			return fail("want a comma and an argument, or a parenthesis at the end")
		}
	}
}

// operationArg reads the argument that text begins with, and gives how many bytes it takes.
func operationArg(text string) (arg string, n int, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", 0, fmt.Errorf("the quoted argument does not end, or is no Go string")
		}
		arg, err = strconv.Unquote(quoted)
		return arg, len(quoted), err
	}
	end := strings.IndexFunc(text, func(r rune) bool { return !plainRune(r) })
	if end < 0 {
		end = len(text)
	}
	if end == 0 {
		return "", 0, fmt.Errorf("want an argument of letters, digits and _ . : - or a quoted one")
	}
	return text[:end], end, nil
}

func checkOperationName(name string) error {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return fmt.Errorf("its name %.40q has %q; want a letter, and then letters, digits and hyphens", name, r)
		}
	}
	if name == "" {
		return fmt.Errorf("it has no name")
	}
	return nil
}
