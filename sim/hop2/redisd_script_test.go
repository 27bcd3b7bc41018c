package hop2

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The broker answers, byte for byte, as miniredis does when it runs the same scripts itself: also for scripts that
// it has lost or that fail, for nonsense, and for connections that may not run scripts, or not yet.
func TestScriptsAsMiniredis(t *testing.T) {
	keys := []string{"ns:{r}:life", "ns:{r}:log", "ns:{r}:ids", "ns:{r}:order"}
	eval := func(sha string, args ...string) string {
		return command(append(append([]string{"EVALSHA", sha, "4"}, keys...), args...)...)
	}
	publish := func(epoch string, remember int, more ...string) string {
		return eval(publishScript.Hash(), append([]string{epoch, "3", fmt.Sprint(remember), "ns:{r}:live"}, more...)...)
	}
	read := func(epoch, from, count string) string { return eval(readScript.Hash(), "e2", epoch, from, count) }
	var many []string
	for i := range maxTogether {
		many = append(many, fmt.Sprintf("many%d", i), "text")
	}
	dialogue := []string{
		publish("e1", 2, "a", "A"), // no script yet
		command("SCRIPT", "LOAD", luaPublish), command("SCRIPT", "LOAD", luaRead), command("script", "load", luaCount), command("SCRIPT", "LOAD", luaPublishAs),
		command("EVALSHA", publishScript.Hash()), command("EVALSHA", publishScript.Hash(), "x"), command("EVALSHA", publishScript.Hash(), "-1"),
		command("EVALSHA", publishScript.Hash(), "9", "k"), command("EVALSHA", readScript.Hash(), "0"),
		read("", "0", "0"), read("e2", "0", "5"),
		publish("e1", 2, "a", "A"), publish("e9", 2, "a", "A", "b", "B", "a", "A"), publish("e1", 2, "c", "C", "d", "D \r\n\x00é"),
		publish("e1", 2, "a", "A"), read("e2", "0", "0"), read("e2", "3", "5"), read("e1", "3", "5"), read("e2", "99", "5"),
		publish("e1", 2, many...), publish("e1", 1000, many...), read("e2", "0", "128"),
		eval(countScript.Hash(), "e3", "ns:{r}:live"),
		eval(publishAsScript.Hash(), "e3", "3", "ns:{r}:live", "x", "X", "200"), eval(publishAsScript.Hash(), "e3", "3", "ns:{r}:live", "y", "Y", "200"),
		command("HGETALL", keys[0]), command("XRANGE", keys[1], "-", "+"), command("LRANGE", keys[3], "0", "-1"),
		command("MULTI"), read("e2", "0", "1"), publish("e1", 2, "z", "Z"), command("EXEC"), read("e2", "0", "3"),
		command("DEL", keys[1]), command("SET", keys[1], "no stream"), publish("e1", 2, "f", "F"), read("e2", "0", "1"),
		eval(publishAsScript.Hash(), "e3", "3", "ns:{r}:live", "g", "G", "300"),
		command("SCRIPT", "FLUSH"), read("e2", "0", "1"), command("SCRIPT", "LOAD", luaRead), command("DEL", keys[1]), read("e2", "0", "1"),
		command("EVAL", "return redis.call('HGET', KEYS[1], 'seq')", "1", keys[0]),
		command("SUBSCRIBE", "other"), read("e2", "0", "1"),
	}
	inBubble(t, func(t *testing.T, n *network) {
		store, plain := NewRedisStore(), NewRedisStore()
		n.serve(t, store)
		got := raw(t, n)
		n.serve(t, plain)
		synctest.Wait()
		plain.redis.Server().SetPreHook(nil)
		want := raw(t, n)
		for i, line := range dialogue {
			answer := askAll(t, want, line)
			require.NotEmpty(t, answer)
			require.Equalf(t, answer, askAll(t, got, line), "command %d: %.120q", i, line)
		}
		require.Positive(t, store.scripts.runs)
		require.Zero(t, plain.scripts.runs)
	})
}

// askAll is ask for answers of any length: all that comes until the broker is at rest.
func askAll(t *testing.T, c net.Conn, line string) (all string) {
	t.Helper()
	_, err := c.Write([]byte(line + "\r\n"))
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	buf := make([]byte, 4096)
	for {
		k, err := c.Read(buf)
		all += string(buf[:k])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all
		}
		require.NoError(t, err)
	}
}
