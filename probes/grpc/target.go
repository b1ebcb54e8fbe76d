package grpc

import "strings"

// endpoint is what a client's target names (https://github.com/grpc/grpc/blob/v1.75.0/doc/naming.md), without scheme and authority:
// "dns:///example.com:443" is "example.com:443", "unix:/run/x.sock" is "/run/x.sock".
func endpoint(target string) string {
	scheme, rest, ok := strings.Cut(target, ":")
	if !ok {
		return target
	}
	if after, found := strings.CutPrefix(rest, "//"); found {
		authority, path, _ := strings.Cut(after, "/")
		if strings.HasPrefix(scheme, "unix") && authority == "" {
			return "/" + strings.TrimPrefix(path, "/")
		}
		return path
	}
	switch scheme {
	case "dns", "passthrough", "unix", "unix-abstract", "vsock", "ipv4", "ipv6", "xds":
		return rest
	}
	return target // host:port
}
