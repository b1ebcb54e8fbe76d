package process

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loopAMD64 calls in a loop, counts in a register that it loads from the stack, and goes on at 1016 when the loop is over.
const loopAMD64 = `
	e8 fb 0f 00 00 ; 1000 CALL 2000
	48 85 c0       ; 1005 TESTQ AX, AX
	75 0e          ; 1008 JNE 1018
	48 8b 4c 24 08 ; 100a MOVQ 8(SP), CX
	48 85 c9       ; 100f TESTQ CX, CX
	7f ec          ; 1012 JG 1000
	31 c0          ; 1014 XORL AX, AX
	eb 07          ; 1016 JMP 101f
	48 89 44 24 10 ; 1018 MOVQ AX, 16(SP)
	eb eb          ; 101d JMP 100a
	c3             ; 101f RET`

const loopARM64 = `
	00 04 00 94 ; 1000 CALL 2000
	a0 00 00 b5 ; 1004 CBNZ R0, 1018
	e1 0b 40 f9 ; 1008 MOVD 16(RSP), R1
	3f 00 00 f1 ; 100c CMP $0, R1
	8c ff ff 54 ; 1010 BGT 1000
	03 00 00 14 ; 1014 B 1020
	e0 0f 00 f9 ; 1018 MOVD R0, 24(RSP)
	fb ff ff 17 ; 101c B 1008
	c0 03 5f d6 ; 1020 RET`

func TestLoopEnd(t *testing.T) {
	const over, failed = "where the loop is over", "where an error goes"
	stack := func(off int64) Location { return Location{Known: true, Stack: true, Off: off, Size: 8} }
	for _, tt := range []struct {
		arch, code string
		want       LoopEnd
	}{
		{"amd64", loopAMD64, LoopEnd{
			Over:   Point{Addr: 0x1016, Asm: "JMP 0x101f", Cost: Emulated, Why: over, Results: []Location{stack(0), stack(8)}},
			Failed: Point{Addr: 0x1018, Asm: "MOVQ AX, 0x10(SP)", Why: failed, Return: 0x1005},
		}},
		{"arm64", loopARM64, LoopEnd{
			Over:   Point{Addr: 0x1014, Asm: "JMP 3(PC)", Cost: Emulated, Why: over, Results: []Location{stack(0), stack(8)}},
			Failed: Point{Addr: 0x1018, Asm: "MOVD R0, 24(RSP)", Why: failed, Return: 0x1004},
		}},
	} {
		t.Run(tt.arch, func(t *testing.T) {
			c := assembled(t, tt.arch, tt.code)
			end, err := c.LoopEnd("callee")
			if err != nil {
				t.Fatal(err)
			}
			check(t, c, end.Over)
			check(t, c, end.Failed)
			if diff := cmp.Diff(tt.want, end, withoutBytes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLoopEndFrame: where the return address lies, and the caller's frame begins, is told from where SP is.
func TestLoopEndFrame(t *testing.T) {
	for arch, want := range map[string][]int64{"amd64": {0x18, 0x20}, "arm64": {0, 0x28}} {
		prologue, body := "48 83 ec 18 ; 1000 SUBQ $24, SP\n90 90 90 90\n", strings.Replace(loopAMD64, "fb 0f", "f3 0f", 1)
		if arch == "arm64" {
			prologue, body = "fe 0f 1e f8 ; 1000 MOVD.W R30, -32(RSP)\n1f 20 03 d5\n", strings.Replace(loopARM64, "00 04 00 94", "fe 03 00 94", 1)
		}
		end, err := assembled(t, arch, prologue+body).LoopEnd("callee")
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		var got []int64
		for _, r := range end.Over.Results {
			got = append(got, r.Off)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", arch, diff)
		}
	}
}

// TestLoopEndRefuses: what is not proven is not said.
func TestLoopEndRefuses(t *testing.T) {
	edit := func(old, now string) string {
		if !strings.Contains(loopAMD64, old) {
			t.Fatalf("no %q in the code", old)
		}
		return strings.Replace(loopAMD64, old, now, 1)
	}
	for name, code := range map[string]string{
		"the error is not checked":             edit("48 85 c0 ", "48 85 db "),
		"a register is computed before":        edit("48 85 c0 ", "48 ff c0 "),
		"something is stored in the loop":      edit("48 8b 4c 24 08", "48 89 4c 24 08"),
		"something is stored behind a pointer": edit("48 8b 4c 24 08", "48 89 4e 08 90"),
		"something is stored behind the loop":  edit("31 c0          ; 1014", "89 06          ; 1014"),
		"there is no loop":                     edit("7f ec", "7f 02"),
		"the loop has another end":             edit("48 85 c9       ; 100f", "7f f4 90       ; 100f"),
		"the place comes by again":             edit("c3             ; 101f RET", "eb f3          ; 101f JMP 1014"),
		"other code leads to the place":        edit("eb eb          ; 101d", "eb f7          ; 101d"),
		"other code goes where an error goes":  edit("c3             ; 101f RET", "eb f7          ; 101f JMP 1018"),
		"other code goes behind the call":      edit("c3             ; 101f RET", "eb e4          ; 101f JMP 1005"),
		"it is called elsewhere":               edit("c3             ; 101f RET", "e8 dc 0f 00 00 ; 101f CALL 2000\nc3"),
		"it may jump anywhere":                 edit("c3             ; 101f RET", "ff e0          ; 101f JMP AX"),
		"the stack pointer changes":            edit("31 c0          ; 1014", "58 90          ; 1014"),
		"the code is cut off":                  edit("c3             ; 101f RET", "e8 00"),
	} {
		if end, err := assembled(t, "amd64", code).LoopEnd("callee"); err == nil {
			t.Errorf("%s: %+v", name, end)
		}
	}
	if _, err := assembled(t, "amd64", loopAMD64).LoopEnd("other"); !errors.Is(err, ErrNoCall) {
		t.Errorf("there is no such call: %v", err)
	}
}
