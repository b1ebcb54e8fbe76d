package nethttp

import "strings"

// forwarded is the first element of a Forwarded header (RFC 7239): what the proxy nearest to the client says. Obfuscated and
// unknown identifiers are left out.
type forwarded struct{ client, host, proto string }

func parseForwarded(header string) forwarded {
	var f forwarded
	for header != "" {
		var pair string
		var last bool
		pair, header, last = cutUnquoted(header)
		name, value, _ := strings.Cut(pair, "=")
		value = unquote(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			if !strings.HasPrefix(value, "_") && !strings.EqualFold(value, "unknown") {
				f.client = value
			}
		case "host":
			f.host = value
		case "proto":
			f.proto = value
		}
		if last {
			break
		}
	}
	return f
}

// cutUnquoted cuts at the first ";" or "," outside quotes; last: it was a comma, the end of the element.
func cutUnquoted(s string) (pair, rest string, last bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == ';' || c == ',') && !quoted:
			return s[:i], s[i+1:], c == ','
		}
	}
	return s, "", true
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++ // the next byte stands for itself, a backslash too
		}
		text.WriteByte(s[i])
	}
	return text.String()
}
