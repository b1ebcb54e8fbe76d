package grpc

import "strconv"

// Status codes: https://github.com/grpc/grpc/blob/v1.75.0/doc/statuscodes.md
const (
	ok               = 0
	unknown          = 2
	deadlineExceeded = 4
	unimplemented    = 12
	internal         = 13
	unavailable      = 14
	dataLoss         = 15
)

// codeName is a code's name, of one that has none the number.
func codeName(code uint32) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
		"UNAUTHENTICATED",
	}
	if code < uint32(len(names)) {
		return names[code]
	}
	return strconv.FormatUint(uint64(code), 10)
}

// serverError says whether the code is an error of the server, not only its client's.
func serverError(code uint32) bool {
	switch code {
	case unknown, deadlineExceeded, unimplemented, internal, unavailable, dataLoss:
		return true
	}
	return code > 16
}
