package hop1

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"
)

func fieldError(field string, value any, want string) error {
	return fmt.Errorf("%s: %v; want %s", field, value, want)
}

// durationField gives a duration its default if it is 0, and rejects a negative one.
func durationField(field string, d *time.Duration, byDefault time.Duration) error {
	if *d < 0 {
		return fieldError(field, *d, fmt.Sprintf("0 (meaning %v) or more", byDefault))
	}
	if *d == 0 {
		*d = byDefault
	}
	return nil
}

// livenessFields checks the pair of fields that say how a silent peer is found.
func livenessFields(heartbeat, idle *time.Duration) error {
	if err := durationField("Heartbeat", heartbeat, time.Second); err != nil {
		return err
	}
	if err := durationField("IdleTimeout", idle, 3**heartbeat); err != nil {
		return err
	}
	if *idle <= *heartbeat {
		return fieldError("IdleTimeout", *idle, "more than Heartbeat, "+heartbeat.String())
	}
	return nil
}

// baseField parses the URL that rooms hang from.
func baseField(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("BaseURL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fieldError("BaseURL", fmt.Sprintf("%.80q", base), `http or https with a host and no query, such as "http://edge:8080"`)
	}
	return u, nil
}

// headerField rejects a header that cannot be sent.
func headerField(h http.Header) error {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return fieldError("Header", fmt.Sprintf("name %.80q", name), "a token (RFC 9110 section 5.1)")
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fieldError("Header", fmt.Sprintf("%s with a value that is not to be sent", name), "no control characters (RFC 9110 section 5.5)")
			}
		}
	}
	return nil
}

// clientField fills in the HTTP client, and rejects one with a timeout of its own: it would cut a
// healthy stream in the middle.
func clientField(c **http.Client) error {
	if *c == nil {
		*c = http.DefaultClient
	}
	if (*c).Timeout != 0 {
		return fieldError("HTTP.Timeout", (*c).Timeout, "0: it would cut streams; use the timeouts beside it")
	}
	return nil
}
