package grpc

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// The names are grpc-go's, in capitals.
func TestCodeName(t *testing.T) {
	errors := 0
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		got := strings.ReplaceAll(codeName(uint32(code)), "_", "")
		want := strings.ToUpper(code.String())
		if code == codes.Canceled {
			want = "CANCELLED"
		}
		if got != want {
			t.Errorf("code %d: %s, want %s", uint32(code), got, want)
		}
		if serverError(uint32(code)) {
			errors++
		}
	}
	if errors != 6 || !serverError(17) {
		t.Errorf("%d codes are errors of a server, want 6 and those without a name", errors)
	}
	for _, code := range []uint32{17, 1 << 31} {
		if got := codeName(code); got != fmt.Sprint(code) {
			t.Errorf("code %d: %s", code, got)
		}
	}
}
