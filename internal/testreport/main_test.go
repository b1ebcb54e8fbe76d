package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		good           bool
	}{
		{
			name: "pass and skip",
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: no kernel\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    replay_test.go:1: c_test.go:7: no kernel\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.01s\n"}
{"Action":"pass","Package":"p"}
`,
			want: "ok  \tp\t0.01s\nskipped: no kernel\n\tp TestA\n\tp TestC\n1 passed, 0 failed, 2 skipped\n",
			good: true,
		},
		{
			name: "fail",
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: wrong\n"}
{"Action":"output","Package":"p","Test":"TestA/b","Output":"    a_test.go:2: within\n"}
{"Action":"fail","Package":"p","Test":"TestA/b"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.01s\n"}
{"Action":"fail","Package":"p"}
`,
			want: "    a_test.go:2: within\n    a_test.go:1: wrong\nFAIL\tp\t0.01s\n" +
				"failed: p TestA/b\n    a_test.go:2: within\n0 passed, 2 failed, 0 skipped\n",
		},
		{
			name: "does not build",
			in: `{"Action":"build-output","ImportPath":"p","Output":"p/a.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"p"}
`,
			want: "p/a.go:1: syntax error\n0 passed, 1 failed, 0 skipped\n",
		},
		{name: "nothing", want: "0 passed, 0 failed, 0 skipped\n"},
	} {
		var out strings.Builder
		r := newReport(&out)
		if err := r.read(strings.NewReader(c.in)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if good := r.close(); good != c.good {
			t.Errorf("%s: good is %v", c.name, good)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
