package hop2

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// scriptHost runs this package's scripts for a broker as miniredis would, which makes a new Lua state for every
// run: that costs several times what the script itself does. The host keeps one state for all runs. That is safe
// for scripts which leave nothing behind in it, as Redis demands of scripts anyway.
//
// Everything else is left to miniredis: other scripts, those that were not loaded, and what a connection asks that
// is in a state of which only miniredis knows.
type scriptHost struct {
	redis *miniredis.Miniredis
	srv   *server.Server // of the broker's present life

	mu     sync.Mutex
	loaded map[string]bool       // scripts by their SHA
	apart  map[*server.Peer]bool // connections that subscribe, or are in a transaction, or the like

	// miniredis's lock guards these, as it is held while a script runs.
	state   *lua.LState
	peer    *server.Peer // by which scripts make their calls
	out     bytes.Buffer // what is answered to it
	running string       // the present script's SHA, or the last one's
	runs    int          // of scripts, so far
	in      *bufio.Reader
}

func newScriptHost(m *miniredis.Miniredis) *scriptHost {
	h := &scriptHost{redis: m, loaded: map[string]bool{}, apart: map[*server.Peer]bool{}}
	h.in = bufio.NewReader(&h.out)
	h.state = lua.NewState(lua.Options{SkipOpenLibs: true})
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath} {
		h.state.Push(h.state.NewFunction(open))
		h.state.Call(0, 0)
	}
	functions := h.state.NewTable()
	functions.RawSetString("call", h.state.NewFunction(h.call))
	functions.RawSetString("pcall", h.state.NewFunction(h.pcall))
	h.state.SetGlobal("redis", functions)
	return h
}

// attach has the host see all commands of a broker that is about to serve. What a connection may do within a
// script is told by its context, of a type that miniredis keeps to itself: a first script shows it.
func (h *scriptHost) attach() {
	h.srv = h.redis.Server()
	h.peer = server.NewPeer(bufio.NewWriter(&h.out))
	h.srv.SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EXISTS" {
			h.peer.Ctx = c.Ctx
		}
		return false
	})
	h.srv.Dispatch(server.NewPeer(bufio.NewWriter(io.Discard)), []string{"EVAL", "return redis.call('EXISTS', '')", "0"})
	h.srv.SetPreHook(h.hook)
}

// hook sees every command before miniredis does. It reports whether the command is done.
func (h *scriptHost) hook(c *server.Peer, cmd string, args ...string) bool {
	switch cmd {
	case "EVALSHA":
		return len(args) >= 2 && h.may(c, args[0]) && h.run(c, args[0], args[1:])
	case "SCRIPT":
		h.note(c, args)
	case "MULTI", "SUBSCRIBE", "PSUBSCRIBE", "SELECT":
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.apart[c] {
			h.apart[c] = true
			c.OnDisconnect(func() {
				h.mu.Lock()
				defer h.mu.Unlock()
				delete(h.apart, c)
			})
		}
	}
	return false
}

// may tells whether the host may run a script for a connection.
func (h *scriptHost) may(c *server.Peer, sha string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.loaded[sha] && !h.apart[c]
}

// note takes note of what miniredis is told about scripts.
func (h *scriptHost) note(c *server.Peer, args []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(args) == 2 && strings.EqualFold(args[0], "LOAD") && !h.apart[c]:
		if sha := redis.NewScript(args[1]).Hash(); compiledScripts()[sha] != nil {
			h.loaded[sha] = true
		}
	case len(args) > 0 && strings.EqualFold(args[0], "FLUSH"):
		clear(h.loaded)
	}
}

// compiledScripts gives the package's scripts by their SHA.
var compiledScripts = sync.OnceValue(func() map[string]*lua.FunctionProto {
	all := map[string]*lua.FunctionProto{}
	for _, source := range append([]string{luaPublishAs}, scripts...) {
		chunk, err := parse.Parse(strings.NewReader(source), "<string>")
		if err != nil {
			panic(fmt.Sprintf("hop2: a script does not parse: %v", err))
		}
		proto, err := lua.Compile(chunk, "")
		if err != nil {
			panic(fmt.Sprintf("hop2: a script does not compile: %v", err))
		}
		all[redis.NewScript(source).Hash()] = proto
	}
	return all
})

// run runs a script: args are the number of keys, the keys, and the arguments. It reports false if they are
// not that.
func (h *scriptHost) run(c *server.Peer, sha string, args []string) bool {
	keys, err := strconv.Atoi(args[0])
	if args = args[1:]; err != nil || keys < 0 || keys > len(args) {
		return false
	}
	h.redis.Lock()
	defer h.redis.Unlock()
	h.running = sha
	h.runs++
	l := h.state
	defer l.SetTop(0)
	l.SetGlobal("KEYS", stringTable(l, args[:keys]))
	l.SetGlobal("ARGV", stringTable(l, args[keys:]))
	l.Push(l.NewFunctionFromProto(compiledScripts()[sha]))
	if err := l.PCall(0, 1, nil); err != nil {
		c.WriteError("ERR Error compiling script (new function): " + err.Error())
		return true
	}
	writeLua(c, l.Get(-1))
	return true
}

func stringTable(l *lua.LState, values []string) *lua.LTable {
	t := l.CreateTable(len(values), 0)
	for _, v := range values {
		t.Append(lua.LString(v))
	}
	return t
}

// call is redis.call: a command's error is the script's.
func (h *scriptHost) call(l *lua.LState) int {
	v, err := h.command(l)
	if err != nil {
		l.Error(lua.LString(err.Error()), 1)
	}
	l.Push(v)
	return 1
}

// pcall is redis.pcall: a command's error is its answer.
func (h *scriptHost) pcall(l *lua.LState) int {
	v, err := h.command(l)
	if err != nil {
		t := l.NewTable()
		t.RawSetString("err", lua.LString(err.Error()))
		v = t
	}
	l.Push(v)
	return 1
}

// command has miniredis carry out a command of a script, which is what the Lua function was given.
func (h *scriptHost) command(l *lua.LState) (lua.LValue, error) {
	args := make([]string, l.GetTop())
	for i := range args {
		v := l.Get(i + 1)
		if !lua.LVCanConvToString(v) {
			l.RaiseError("Lua redis lib command arguments must be strings or integers script: %s, &c.", h.running)
		}
		args[i] = v.String()
	}
	h.out.Reset()
	h.srv.Dispatch(h.peer, args)
	h.peer.Flush()
	h.in.Reset(&h.out)
	reply, err := server.ParseReply(h.in)
	if err != nil {
		return nil, err
	}
	return luaReply(l, reply), nil
}

// luaReply converts a reply to Lua (https://redis.io/docs/latest/develop/programmability/lua-api, "Data type
// conversion").
func luaReply(l *lua.LState, reply any) lua.LValue {
	switch r := reply.(type) {
	case int:
		return lua.LNumber(r)
	case string:
		return lua.LString(r)
	case server.Simple:
		t := l.NewTable()
		t.RawSetString("ok", lua.LString(r))
		return t
	case []any:
		t := l.CreateTable(len(r), 0)
		for _, v := range r {
			t.Append(luaReply(l, v))
		}
		return t
	case nil:
		return lua.LFalse
	}
	panic(fmt.Sprintf("hop2: a reply of miniredis is a %T", reply))
}

// writeLua answers with what a script of this package returns: strings, or false for none, and arrays of them.
func writeLua(c *server.Peer, value lua.LValue) {
	switch v := value.(type) {
	case lua.LString:
		c.WriteBulk(string(v))
	case *lua.LTable:
		n := v.Len()
		c.WriteLen(n)
		for i := range n {
			writeLua(c, v.RawGetInt(i+1))
		}
	default:
		c.WriteNull()
	}
}
