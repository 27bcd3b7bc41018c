package hop1

import (
	"context"
	"net/http"
	"strings"
)

// remoteKey is the context key of who asks.
type remoteKey struct{}

// withRemote notes who asks: the last address of X-Forwarded-For, or else that of the connection.
func withRemote(ctx context.Context, r *http.Request) context.Context {
	remote := r.RemoteAddr
	if forwarded := r.Header.Values("X-Forwarded-For"); len(forwarded) > 0 {
		last := forwarded[len(forwarded)-1]
		remote = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	return context.WithValue(ctx, remoteKey{}, remote)
}

// Remote gives the address of the client that a [Feed]'s Open is called for, by its context, as the server sees
// it: "host:port", or what X-Forwarded-For says, which anyone may have written. It is for records and not
// for decisions. It is "" elsewhere.
func Remote(ctx context.Context) string {
	remote, _ := ctx.Value(remoteKey{}).(string)
	return remote
}
