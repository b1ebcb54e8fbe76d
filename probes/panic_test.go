package probes

import "testing"

// The messages are those of the runtime: each case was seen from a real program.
func TestPanicMessage(t *testing.T) {
	for _, tt := range []struct {
		panic Panic
		want  string
	}{
		{Panic{Type: "string", Text: "boom"}, "boom"},
		{Panic{Type: "runtime.errorString", Text: "integer divide by zero"}, "runtime error: integer divide by zero"},
		{Panic{Type: "runtime.plainError", Text: "close of nil channel"}, "close of nil channel"},
		{Panic{}, ""},
		{Panic{Type: boundsError}, ""},
		{Panic{Type: boundsError, Bounds: &Bounds{X: 9, Y: 2, Signed: true, Code: 0}}, "runtime error: index out of range [9] with length 2"},
		{Panic{Type: boundsError, Bounds: &Bounds{X: -3, Signed: true, Code: 2}}, "runtime error: slice bounds out of range [:-3]"},
		{Panic{Type: boundsError, Bounds: &Bounds{X: -1, Y: 4, Code: 1}}, "runtime error: slice bounds out of range [:18446744073709551615] with length 4"},
		{Panic{Type: boundsError, Bounds: &Bounds{X: 4, Y: 2, Signed: true, Code: 8}}, "runtime error: cannot convert slice with length 2 to array or pointer to array with length 4"},
		{Panic{Type: boundsError, Bounds: &Bounds{Code: 200}}, ""},
	} {
		if got := tt.panic.Message(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.panic, got, tt.want)
		}
	}
}
