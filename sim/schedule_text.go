package sim

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twohop/twohop/netsim"
)

// The text form of a schedule, in EBNF:
//
//	schedule = [ entry ] { ( ";" | newline ) [ entry ] } .
//	entry    = kind [ "(" [ argument { "," argument } ] ")" ] "@" time [ "for" time ] .
//
// Spaces do not matter, and from "#" to the end of a line is comment. Times are Go's, such as 1m30s or
// 250ms. Kinds and arguments:
//
//	crash(NODE)               restart(NODE)             stop(NODE), also drain(NODE)
//	disk-lose(NODE)           scale(GROUP, ±N)          skew(NODE, ±TIME)
//	pause(HOSTS)              slow(HOSTS, TIME)
//	partition(HOSTS, HOSTS)   blackhole(HOSTS->HOSTS)   heal()
//	loss(PATH, PERCENT)       duplicate(PATH, PERCENT)  delay(PATH, TIME)
//	link(HOSTS, HOSTS, LINK)  nic-down(HOSTS)           nic-up(HOSTS)
//	ipchange(HOSTS)           rebind(HOSTS)
//	dns(NAME, TTL, HOSTS)     dns-fail(NAME)
//
// HOSTS is a name or pattern, or several joined by "|", as for [netsim.Network.SetLink]. PATH is
// HOSTS->HOSTS, one way, or HOSTS<->HOSTS, both. A partition of one argument with one "|", as in
// partition(edge-*|redis), is between the two. LINK is as [netsim.ParseLink] reads it. PERCENT is a
// number above 0 and at most 100 with "%", or a probability without.

// SyntaxError says where a text is not a schedule, and why.
type SyntaxError struct {
	// Line and Column count from 1; Column is in characters.
	Line, Column int
	Err          error
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("faults: line %d, column %d: %v", e.Line, e.Column, e.Err)
}

// Unwrap gives why.
func (e *SyntaxError) Unwrap() error { return e.Err }

// ParseSchedule reads the text form of a schedule, such as
//
//	crash(edge-1)@5s for 3s; partition(edge-*, redis)@2s for 500ms
//	loss(client-*->edge-*, 3%)@1s for 10s   # the mobile network
//
// An error is a *[SyntaxError].
func ParseSchedule(text string) (Schedule, error) {
	p := &scheduleParser{text: text}
	var s Schedule
	for {
		p.skip(" \t\r\n;")
		if p.rest() == "" {
			return s, nil
		}
		f, err := p.entry()
		if err != nil {
			return nil, p.locate(err)
		}
		s = append(s, f)
		if p.skip(" \t\r"); p.rest() != "" && !strings.ContainsRune("\n;", rune(p.rest()[0])) {
			return nil, p.locate(fmt.Errorf("%q follows %v; entries end with ';' or the line", firstWord(p.rest()), f))
		}
	}
}

// scheduleParser reads a text from left to right. at is where it is, and, after an error, what was wrong.
type scheduleParser struct {
	text string
	at   int
}

func (p *scheduleParser) rest() string { return p.text[p.at:] }

// skip passes over characters, and over comments.
func (p *scheduleParser) skip(chars string) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			end := strings.IndexByte(p.rest(), '\n')
			if end < 0 {
				end = len(p.rest())
			}
			p.at += end
		case strings.IndexByte(chars, c) >= 0:
			p.at++
		default:
			return
		}
	}
}

func (p *scheduleParser) locate(err error) error {
	before := p.text[:p.at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &SyntaxError{line, column, err}
}

// firstWord is how a text begins, to be quoted in an error.
func firstWord(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if i := strings.IndexAny(s, " \t;"); i > 0 {
		s = s[:i]
	}
	return fmt.Sprintf("%.20s", s)
}

// until takes what comes before one of some characters, without the spaces around it.
func (p *scheduleParser) until(chars string) string {
	end := strings.IndexAny(p.rest(), chars+"\n#;")
	if end < 0 {
		end = len(p.rest())
	}
	word := p.rest()[:end]
	p.at += end
	return strings.TrimSpace(word)
}

func (p *scheduleParser) entry() (Scheduled, error) {
	var s Scheduled
	start := p.at
	name := p.until("(@")
	kind, err := findKind(name)
	if err != nil {
		p.at = start
		return s, err
	}
	if s.Fault, err = p.fault(kind); err != nil {
		return s, err
	}
	p.skip(" \t\r")
	if !strings.HasPrefix(p.rest(), "@") {
		return s, fmt.Errorf("%v has no time; want %v@TIME, such as %v@5s", s.Fault, s.Fault, s.Fault)
	}
	p.at++
	if s.At, err = p.time("when it takes hold", 0); err != nil {
		return s, err
	}
	p.skip(" \t\r")
	rest, lasts := strings.CutPrefix(p.rest(), "for")
	if !lasts || rest == "" || !strings.ContainsRune(" \t", rune(rest[0])) {
		return s, nil
	}
	if _, ok := ending(s.Fault); !ok {
		return s, fmt.Errorf("a %s happens in an instant; it cannot last %q", s.Fault.Kind(), firstWord(p.rest()))
	}
	p.at += len("for")
	s.For, err = p.time("how long it lasts", 1)
	return s, err
}

// time takes a duration of at least least.
func (p *scheduleParser) time(what string, least time.Duration) (time.Duration, error) {
	p.skip(" \t\r")
	start := p.at
	end := strings.IndexAny(p.rest(), " \t\r\n;#")
	if end < 0 {
		end = len(p.rest())
	}
	word := p.rest()[:end]
	d, err := time.ParseDuration(word)
	const most = 1000 * time.Hour
	if err != nil || d < least || d > most {
		p.at = start
		return 0, fmt.Errorf("%.20q is not %s: want a time such as 1m30s or 250ms, %v to %v", word, what, least, most)
	}
	p.at += end
	return d, nil
}

// fault takes a fault's arguments.
func (p *scheduleParser) fault(kind *faultKind) (Fault, error) {
	start := p.at
	var args []string
	if strings.HasPrefix(p.rest(), "(") {
		depth, end := 0, -1
		for i, c := range p.rest() {
			switch c {
			case '(':
				depth++
			case ')':
				depth--
			case '\n', '#', ';':
				depth = -1
			}
			if depth <= 0 {
				if c == ')' {
					end = i
				}
				break
			}
		}
		if end < 0 {
			return nil, fmt.Errorf("%s( is not closed; want %s", kind.name, kind.usage)
		}
		args = arguments(p.rest()[1:end])
		p.at += end + 1
	}
	f, err := kind.parse(args)
	if err != nil {
		p.at = start
		return nil, fmt.Errorf("%w; want %s", err, kind.usage)
	}
	return f, nil
}

// arguments splits a list at the commas that stand outside of parentheses.
func arguments(list string) []string {
	if strings.TrimSpace(list) == "" {
		return nil
	}
	var args []string
	depth, begin := 0, 0
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(list[begin:i]))
			begin = i + 1
		}
	}
	return append(args, strings.TrimSpace(list[begin:]))
}

// faultKind is a kind of fault as it is written.
type faultKind struct {
	name, usage string
	parse       func(args []string) (Fault, error)
}

// faultKinds is the registry of all kinds, in the order in which errors list them.
var faultKinds = []faultKind{
	{"crash", "crash(NODE)", ofNode(Crash)},
	{"restart", "restart(NODE)", ofNode(Restart)},
	{"stop", "stop(NODE)", ofNode(Stop)},
	{"drain", "drain(NODE)", ofNode(Stop)}, // the same by another name
	{"disk-lose", "disk-lose(NODE)", ofNode(LoseDisk)},
	{"pause", "pause(HOSTS)", ofHosts(netsim.Pause)},
	{"slow", "slow(HOSTS, TIME)", parseSlow},
	{"skew", "skew(NODE, TIME)", parseSkew},
	{"partition", "partition(HOSTS, HOSTS)", parsePartition},
	{"blackhole", "blackhole(HOSTS->HOSTS)", parseBlackhole},
	{"heal", "heal()", func(args []string) (Fault, error) { return netsim.Heal(), count(args, 0) }},
	{"loss", "loss(HOSTS->HOSTS, PERCENT)", ofPath(netsim.Loss, parsePercent)},
	{"duplicate", "duplicate(HOSTS->HOSTS, PERCENT)", ofPath(netsim.Duplicate, parsePercent)},
	{"delay", "delay(HOSTS->HOSTS, TIME)", ofPath(netsim.Delay, parseDelay)},
	{"link", "link(HOSTS, HOSTS, LINK)", parseLink},
	{"nic-down", "nic-down(HOSTS)", ofHosts(netsim.NICDown)},
	{"nic-up", "nic-up(HOSTS)", ofHosts(netsim.NICUp)},
	{"ipchange", "ipchange(HOSTS)", ofHosts(netsim.ChangeIP)},
	{"rebind", "rebind(HOSTS)", ofHosts(netsim.Rebind)},
	{"dns", "dns(NAME, TTL, HOSTS)", parseDNS},
	{"dns-fail", "dns-fail(NAME)", ofNode(netsim.FailDNS)},
	{"scale", "scale(GROUP, +N)", parseScale},
}

func findKind(name string) (*faultKind, error) {
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.name == name })
	if i >= 0 {
		return &faultKinds[i], nil
	}
	var names []string
	for _, k := range faultKinds {
		names = append(names, k.name)
	}
	if name == "" {
		return nil, fmt.Errorf("a fault is missing here; the kinds are %s", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("unknown fault %.40q; the kinds are %s", name, strings.Join(names, ", "))
}

// first is the first error that there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func count(args []string, want int) error {
	if len(args) != want {
		return fmt.Errorf("%d arguments", len(args))
	}
	return nil
}

// checkName checks the name of a node or group.
func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, " \t*?[]|<>()") {
		return fmt.Errorf("%.80q is not one name", name)
	}
	return nil
}

// checkHosts checks a pattern of hosts.
func checkHosts(pattern string) error {
	for part := range strings.SplitSeq(pattern, "|") {
		if _, err := path.Match(part, ""); err != nil || part == "" || strings.ContainsAny(part, " \t<>()") {
			return fmt.Errorf("%.80q names no hosts", pattern)
		}
	}
	return nil
}

func ofNode[F Fault](make func(node string) F) func([]string) (Fault, error) {
	return func(args []string) (Fault, error) {
		if err := count(args, 1); err != nil {
			return nil, err
		}
		return make(args[0]), checkName(args[0])
	}
}

func ofHosts[F Fault](make func(hosts string) F) func([]string) (Fault, error) {
	return func(args []string) (Fault, error) {
		if err := count(args, 1); err != nil {
			return nil, err
		}
		return make(args[0]), checkHosts(args[0])
	}
}

// ofPath reads a fault of a path between hosts, and how bad it is.
func ofPath[T any](make func(from, to string, both bool, amount T) netsim.Fault, parse func(string) (T, error)) func([]string) (Fault, error) {
	return func(args []string) (Fault, error) {
		if err := count(args, 2); err != nil {
			return nil, err
		}
		from, to, both, err := parsePath(args[0])
		if err != nil {
			return nil, err
		}
		amount, err := parse(args[1])
		return make(from, to, both, amount), err
	}
}

// parsePath reads a->b or a<->b.
func parsePath(text string) (from, to string, both bool, err error) {
	from, to, found := strings.Cut(text, "->")
	if !found {
		return "", "", false, fmt.Errorf("%.80q is not a path such as client-*->edge-1, or client-*<->edge-1 for both ways", text)
	}
	from, both = strings.CutSuffix(from, "<")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	return from, to, both, first(checkHosts(from), checkHosts(to))
}

func parsePercent(text string) (float64, error) {
	digits, percent := strings.CutSuffix(text, "%")
	p, err := strconv.ParseFloat(digits, 64)
	if percent {
		p /= 100
	}
	if err != nil || !(p > 0 && p <= 1) {
		return 0, fmt.Errorf("%.20q is not a share of packets, above 0%% and at most 100%%", text)
	}
	return p, nil
}

func parseDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > time.Hour {
		return 0, fmt.Errorf("%.20q is not a time above 0 and at most 1h", text)
	}
	return d, nil
}

func parseSlow(args []string) (Fault, error) {
	if err := count(args, 2); err != nil {
		return nil, err
	}
	d, err := parseDelay(args[1])
	return netsim.Slow(args[0], d), first(checkHosts(args[0]), err)
}

func parseSkew(args []string) (Fault, error) {
	if err := count(args, 2); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(args[1])
	if err != nil || d < -maxSkew || d > maxSkew {
		return nil, fmt.Errorf("%.20q is not a time of at most %v either way", args[1], maxSkew)
	}
	return Skew(args[0], d), checkName(args[0])
}

func parsePartition(args []string) (Fault, error) {
	if len(args) == 1 && strings.Count(args[0], "|") == 1 {
		a, b, _ := strings.Cut(args[0], "|")
		args = []string{a, b}
	}
	if err := count(args, 2); err != nil {
		return nil, err
	}
	return netsim.Partition(args[0], args[1]), first(checkHosts(args[0]), checkHosts(args[1]))
}

func parseBlackhole(args []string) (Fault, error) {
	if len(args) == 2 { // as it prints
		return netsim.Blackhole(args[0], args[1]), first(checkHosts(args[0]), checkHosts(args[1]))
	}
	if err := count(args, 1); err != nil {
		return nil, err
	}
	from, to, both, err := parsePath(args[0])
	if both {
		err = first(err, errBothWays)
	}
	return netsim.Blackhole(from, to), err
}

var errBothWays = errors.New("a black hole is one way; a partition is both")

func parseLink(args []string) (Fault, error) {
	if err := count(args, 3); err != nil {
		return nil, err
	}
	l, err := netsim.ParseLink(args[2])
	return netsim.SetLink(args[0], args[1], l), first(checkHosts(args[0]), checkHosts(args[1]), err)
}

func parseDNS(args []string) (Fault, error) {
	if err := count(args, 3); err != nil {
		return nil, err
	}
	ttl, err := time.ParseDuration(args[1])
	if err != nil || ttl < 0 {
		err = fmt.Errorf("%.20q is not a time to live of 0 or more", args[1])
	}
	return netsim.ChangeDNS(args[0], ttl, args[2]), first(checkName(args[0]), err, checkHosts(args[2]))
}

func parseScale(args []string) (Fault, error) {
	if err := count(args, 2); err != nil {
		return nil, err
	}
	by, err := strconv.Atoi(args[1])
	if err != nil || by == 0 || by < -1000 || by > 1000 {
		return nil, fmt.Errorf("%.20q is not how many nodes more or fewer, -1000 to +1000 and not 0", args[1])
	}
	return Scale(args[0], by), checkName(args[0])
}
