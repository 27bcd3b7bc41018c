package hop1

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pion/logging"
	piontransport "github.com/pion/transport/v5"
	"github.com/pion/turn/v5"
)

// TURN configures [ServeTURN]. The zero value serves STUN only (RFC 8489), which tells clients the address that
// they are seen with.
type TURN struct {
	// Relay is the address at which relayed sockets are reached (RFC 8656): this host's. The zero value means
	// that nothing is relayed.
	Relay netip.Addr
	// User and Password are what clients must know for that; needed with Relay.
	User, Password string
	// Realm is told to clients as what the password is for. It may be empty.
	Realm string
	// Net opens the relayed sockets; nil means the machine's own.
	Net piontransport.Net
}

func (c *TURN) validate() error {
	switch {
	case !c.Relay.IsValid():
		return nil
	case c.Relay.IsUnspecified():
		return fieldError("Relay", c.Relay, "an address at which this host is reached")
	case c.User == "":
		return fieldError("User", `""`, "a name: an open relay would serve anyone")
	case c.Password == "":
		return fieldError("Password", `""`, "a password: an open relay would serve anyone")
	}
	return nil
}

func (c *TURN) generator() turn.RelayAddressGenerator {
	if !c.Relay.IsValid() {
		return nil
	}
	return &turn.RelayAddressGeneratorStatic{RelayAddress: c.Relay.AsSlice(), Address: c.Relay.String(), Net: c.Net}
}

func (c *TURN) authenticate(r *turn.RequestAttributes) (user string, key []byte, ok bool) {
	if !c.Relay.IsValid() || subtle.ConstantTimeCompare([]byte(r.Username), []byte(c.User)) != 1 {
		return "", nil, false
	}
	return c.User, turn.GenerateAuthKey(c.User, r.Realm, c.Password), true
}

// ServeTURN is a STUN and TURN server: it answers what arrives at conn, and at the connections that l accepts,
// until ctx ends. Either may be nil, but over l alone there is no STUN without a Relay. It closes both and
// returns ctx's error when everything that it started has ended, or why it cannot serve.
func ServeTURN(ctx context.Context, conn net.PacketConn, l net.Listener, cfg TURN) error {
	if err := cfg.validate(); err != nil {
		return errors.Join(fmt.Errorf("hop1 TURN: %w", err), closeBoth(conn, l))
	}
	server := turn.ServerConfig{
		Realm: cfg.Realm, AuthHandler: cfg.authenticate,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	}
	if conn != nil {
		server.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: cfg.generator()}}
	}
	if l != nil {
		server.ListenerConfigs = []turn.ListenerConfig{{Listener: l, RelayAddressGenerator: cfg.generator()}}
	}
	s, err := turn.NewServer(server)
	if err != nil {
		return errors.Join(fmt.Errorf("hop1 TURN: %w", err), closeBoth(conn, l))
	}
	<-ctx.Done()
	_ = s.Close() // its sockets may have gone with their host
	return ctx.Err()
}

func closeBoth(conn net.PacketConn, l net.Listener) error {
	var errs []error
	if conn != nil {
		errs = append(errs, conn.Close())
	}
	if l != nil {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
