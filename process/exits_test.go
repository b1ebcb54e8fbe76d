package process

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExits: the check of the callee's error stands for the returns that only its success leads to.
func TestExits(t *testing.T) {
	const checked, ret = "check of the error behind the call", "RET itself: a call comes right before it"
	results := []Location{reg(0, amd64AX), reg(1, amd64BX)}
	whole := func(addr uint64) Point { return Point{Addr: addr, Asm: "RET", Why: ret, Results: results} }
	for _, tt := range []struct {
		name, code string
		want       []Point
	}{
		{"success jumps", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 85 db       ; 1005 TESTQ BX, BX
			74 08          ; 1008 JE 1012
			e8 f1 1f 00 00 ; 100a CALL 3000
			c3             ; 100f RET
			90 90          ; 1010 NOP, NOP
			e8 e9 1f 00 00 ; 1012 CALL 3000
			c3             ; 1017 RET`,
			[]Point{
				{Addr: 0x1008, Asm: "JE 0x1012", Cost: Emulated, When: Taken, CC: 4, Why: checked, Results: results},
				whole(0x100f),
			}},
		{"failure jumps", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 85 db       ; 1005 TESTQ BX, BX
			75 08          ; 1008 JNE 1012
			e8 f1 1f 00 00 ; 100a CALL 3000
			c3             ; 100f RET
			90 90          ; 1010 NOP, NOP
			e8 e9 1f 00 00 ; 1012 CALL 3000
			c3             ; 1017 RET`,
			[]Point{
				{Addr: 0x1008, Asm: "JNE 0x1012", Cost: Emulated, When: NotTaken, CC: 5, Why: checked, Results: results},
				whole(0x1017),
			}},
		{"another call joins", `
			48 85 c0       ; 1000 TESTQ AX, AX
			74 05          ; 1003 JE 100a
			ff d1          ; 1005 CALL CX
			90             ; 1007 NOP
			eb 05          ; 1008 JMP 100f
			e8 f1 0f 00 00 ; 100a CALL 2000
			48 85 db       ; 100f TESTQ BX, BX
			74 06          ; 1012 JE 101a
			e8 e7 1f 00 00 ; 1014 CALL 3000
			c3             ; 1019 RET
			e8 e1 1f 00 00 ; 101a CALL 3000
			c3             ; 101f RET`,
			[]Point{
				{Addr: 0x1012, Asm: "JE 0x101a", Cost: Emulated, When: Taken, CC: 4, Why: checked, Results: results},
				whole(0x1019),
			}},
		{"something else joins", `
			48 85 c0       ; 1000 TESTQ AX, AX
			74 08          ; 1003 JE 100d
			48 89 cb       ; 1005 MOVQ CX, BX
			eb 08          ; 1008 JMP 1012
			90 90 90       ; 100a NOP
			e8 ee 0f 00 00 ; 100d CALL 2000
			48 85 db       ; 1012 TESTQ BX, BX
			74 06          ; 1015 JE 101d
			e8 e4 1f 00 00 ; 1017 CALL 3000
			c3             ; 101c RET
			e8 de 1f 00 00 ; 101d CALL 3000
			c3             ; 1022 RET`,
			[]Point{whole(0x101c), whole(0x1022)}},
		{"another word is checked", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 85 c0       ; 1005 TESTQ AX, AX
			74 06          ; 1008 JE 1010
			e8 f1 1f 00 00 ; 100a CALL 3000
			c3             ; 100f RET
			e8 eb 1f 00 00 ; 1010 CALL 3000
			c3             ; 1015 RET`,
			[]Point{whole(0x100f), whole(0x1015)}},
		{"success and failure return together", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 85 db       ; 1005 TESTQ BX, BX
			74 05          ; 1008 JE 100f
			e8 f1 1f 00 00 ; 100a CALL 3000
			e8 ec 1f 00 00 ; 100f CALL 3000
			c3             ; 1014 RET`,
			[]Point{
				{Addr: 0x1008, Asm: "JE 0x100f", Cost: Emulated, When: Taken, CC: 4, Why: checked, Results: results},
				whole(0x1014),
			}},
		{"a result is gone", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			31 c0          ; 1005 XORL AX, AX
			48 85 db       ; 1007 TESTQ BX, BX
			74 06          ; 100a JE 1012
			e8 ef 1f 00 00 ; 100c CALL 3000
			c3             ; 1011 RET
			e8 e9 1f 00 00 ; 1012 CALL 3000
			c3             ; 1017 RET`,
			[]Point{whole(0x1011), whole(0x1017)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := assembled(t, "amd64", tt.code)
			points, err := c.Exits(2, 1, "callee")
			if err != nil {
				t.Fatal(err)
			}
			check(t, c, points...)
			if diff := cmp.Diff(tt.want, points, withoutBytes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAfterError: a call, a check of the error's first word, a branch if there is one, to a block that nothing else leads to.
func TestAfterError(t *testing.T) {
	for _, tt := range []struct {
		name, arch, code string
		want             uint64 // 0: no point
	}{
		{"taken", "amd64", "e8 fb 0f 00 00\n48 85 c0\n75 02\n31 c9\nc3\n31 d2\nc3", 0},
		{"taken, behind RET", "amd64", "e8 fb 0f 00 00\n48 85 c0\n75 01\nc3\n31 d2\nc3", 0x100b},
		{"not taken", "amd64", "e8 fb 0f 00 00\n48 85 c0\n74 03\n31 d2\nc3\nc3", 0x100a},
		{"joined", "amd64", "e8 fb 0f 00 00\n48 85 c0\n75 03\n74 01\nc3\n31 d2\nc3", 0},
		{"no check", "amd64", "e8 fb 0f 00 00\nc3", 0},
		{"no call", "amd64", "c3", 0},
		{"no error: taken", "arm64", `
			00 04 00 94 ; 1000 BL 2000
			60 00 00 b4 ; 1004 CBZ R0, 1010
			e2 03 1f aa ; 1008 MOVD ZR, R2
			c0 03 5f d6 ; 100c RET
			c0 03 5f d6 ; 1010 RET`, 0x1008},
		{"error: taken", "arm64", `
			00 04 00 94 ; 1000 BL 2000
			40 00 00 b5 ; 1004 CBNZ R0, 100c
			c0 03 5f d6 ; 1008 RET
			e2 03 1f aa ; 100c MOVD ZR, R2
			c0 03 5f d6 ; 1010 RET`, 0x100c},
		{"another word", "arm64", `
			00 04 00 94 ; 1000 BL 2000
			41 00 00 b5 ; 1004 CBNZ R1, 100c
			c0 03 5f d6 ; 1008 RET
			c0 03 5f d6 ; 100c RET`, 0},
		{"half a word", "arm64", `
			00 04 00 94 ; 1000 BL 2000
			40 00 00 35 ; 1004 CBNZW R0, 100c
			c0 03 5f d6 ; 1008 RET
			c0 03 5f d6 ; 100c RET`, 0},
	} {
		t.Run(tt.arch+" "+tt.name, func(t *testing.T) {
			points, err := assembled(t, tt.arch, tt.code).AfterError("callee")
			if tt.want == 0 {
				if !errors.Is(err, ErrNoCall) {
					t.Errorf("%v, error %v", points, err)
				}
				return
			}
			if err != nil || len(points) != 1 {
				t.Fatalf("%v, error %v", points, err)
			}
			p := points[0]
			results := []Location{reg(0, amd64AX), reg(1, amd64BX)}
			if tt.arch == "arm64" {
				results = []Location{reg(0, 0), reg(1, 1)}
			}
			if diff := cmp.Diff(results, p.Results); p.Addr != tt.want || diff != "" {
				t.Errorf("point at %#x, want %#x: %s", p.Addr, tt.want, diff)
			}
		})
	}
}

// TestRets: each RET is a point, whatever leads to it.
func TestRets(t *testing.T) {
	c := assembled(t, "amd64", `
			48 85 c0       ; 1000 TESTQ AX, AX
			74 03          ; 1003 JE 1008
			31 c0          ; 1005 XORL AX, AX
			c3             ; 1007 RET
			c3             ; 1008 RET`)
	points, err := c.Rets(1)
	if err != nil {
		t.Fatal(err)
	}
	result := []Location{reg(0, amd64AX)}
	want := []Point{
		{Addr: 0x1007, Asm: "RET", Why: "RET itself", Results: result},
		{Addr: 0x1008, Asm: "RET", Why: "RET itself", Results: result},
	}
	check(t, c, points...)
	if diff := cmp.Diff(want, points, withoutBytes); diff != "" {
		t.Error(diff)
	}
}

// TestRetsAround: the RETs that are reached in one way only by the call, in another without it, or never.
func TestRetsAround(t *testing.T) {
	c := assembled(t, "amd64", `
			48 85 c0       ; 1000 TESTQ AX, AX
			74 0b          ; 1003 JE 1010
			e8 f6 0f 00 00 ; 1005 CALL 2000
			48 85 c0       ; 100a TESTQ AX, AX
			74 02          ; 100d JE 1011
			c3             ; 100f RET
			c3             ; 1010 RET
			c3             ; 1011 RET`)
	points, err := c.RetsAround("callee", 1)
	if err != nil {
		t.Fatal(err)
	}
	check(t, c, points...)
	want := []Point{{Addr: 0x1010, Asm: "RET", Why: "RET that is reached without callee", Results: []Location{reg(0, amd64AX)}}}
	if diff := cmp.Diff(want, points, withoutBytes); diff != "" {
		t.Error(diff)
	}
	call, err := c.AtCall("callee")
	if err != nil {
		t.Fatal(err)
	}
	check(t, c, call)
	if diff := cmp.Diff([]Location{reg(0, amd64AX), reg(1, amd64BX)}, call.Results[:2]); call.Addr != 0x1005 || call.Cost != Emulated || diff != "" {
		t.Errorf("the call is at %#x and %v; %s", call.Addr, call.Cost, diff)
	}
}
