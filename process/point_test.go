package process

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// withoutBytes compares points but for what check compares with the code.
var withoutBytes = cmpopts.IgnoreFields(Point{}, "Bytes")

func TestEntry(t *testing.T) {
	const (
		after  = "after the stack check"
		branch = "branch of the stack check"
	)
	for _, tt := range []struct {
		name, arch, code string
		want             Point
	}{
		{"frame", "amd64", `
			49 3b 66 10    ; 1000 CMPQ SP, 16(R14)
			76 0f          ; 1004 JBE 1015
			55             ; 1006 PUSHQ BP
			48 89 e5       ; 1007 MOVQ SP, BP
			48 83 ec 10    ; 100a SUBQ $16, SP
			48 83 c4 10    ; 100e ADDQ $16, SP
			5d             ; 1012 POPQ BP
			c3             ; 1013 RET
			90             ; 1014 NOP
			e8 e6 0f 00 00 ; 1015 CALL 2000
			eb e4          ; 101a JMP 1000`,
			Point{Addr: 0x1006, Asm: "PUSHQ BP", Cost: Emulated, Why: after}},
		{"frame before 1.21", "amd64", `
			49 3b 66 10    ; 1000 CMPQ SP, 16(R14)
			76 0f          ; 1004 JBE 1015
			48 83 ec 10    ; 1006 SUBQ $16, SP
			48 89 6c 24 08 ; 100a MOVQ BP, 8(SP)
			48 83 c4 10    ; 100f ADDQ $16, SP
			c3             ; 1013 RET
			90             ; 1014 NOP
			e8 e6 0f 00 00 ; 1015 CALL 2000
			eb e4          ; 101a JMP 1000`,
			Point{Addr: 0x1004, Asm: "JBE 0x1015", Cost: Emulated, When: NotTaken, CC: 6, Why: branch}},
		{"medium frame", "amd64", `
			4c 8d 64 24 e8    ; 1000 LEAQ -24(SP), R12
			4d 3b 66 10       ; 1005 CMPQ R12, 16(R14)
			0f 86 02 00 00 00 ; 1009 JBE 1011
			55                ; 100f PUSHQ BP
			c3                ; 1010 RET
			48 89 44 24 08    ; 1011 MOVQ AX, 8(SP)
			e8 e5 0f 00 00    ; 1016 CALL 2000
			eb e3             ; 101b JMP 1000`,
			Point{Addr: 0x100f, Asm: "PUSHQ BP", Cost: Emulated, Why: after}},
		{"big frame before 1.21", "amd64", `
			49 89 e4             ; 1000 MOVQ SP, R12
			49 81 ec 00 00 01 00 ; 1003 SUBQ $0x10000, R12
			72 0e                ; 100a JCS 101a
			4d 3b 66 10          ; 100c CMPQ R12, 16(R14)
			76 08                ; 1010 JBE 101a
			48 81 ec 00 00 01 00 ; 1012 SUBQ $0x10000, SP
			90                   ; 1019 NOP
			e8 e1 0f 00 00       ; 101a CALL 2000
			eb df                ; 101f JMP 1000`,
			Point{Addr: 0x1010, Asm: "JBE 0x101a", Cost: Emulated, When: NotTaken, CC: 6, Why: branch}},
		{"no frame", "amd64", `
			48 89 44 24 08 ; 1000 MOVQ AX, 8(SP)
			48 85 c0       ; 1005 TESTQ AX, AX
			74 02          ; 1008 JE 100c
			31 c0          ; 100a XORL AX, AX
			c3             ; 100c RET`,
			Point{Addr: 0x1008, Asm: "JE 0x100c", Cost: Emulated, Why: "first emulated instruction"}},
		{"no stack check", "amd64", `
			55       ; 1000 PUSHQ BP
			48 89 e5 ; 1001 MOVQ SP, BP
			5d       ; 1004 POPQ BP
			c3       ; 1005 RET`,
			Point{Addr: 0x1000, Asm: "PUSHQ BP", Cost: Emulated, Why: "first instruction"}},
		{"argument changes", "amd64", `
			48 8b 40 08 ; 1000 MOVQ 8(AX), AX
			90          ; 1004 NOP
			c3          ; 1005 RET`,
			Point{Addr: 0x1000, Asm: "MOVQ 0x8(AX), AX", Why: "first instruction: no emulated one before arguments change"}},
		{"loop", "amd64", `
			48 39 cb ; 1000 CMPQ BX, CX
			75 fb    ; 1003 JNE 1000
			c3       ; 1005 RET`,
			Point{Addr: 0x1000, Asm: "CMPQ BX, CX", Why: "first instruction: other code jumps before the first emulated one"}},
		{"frame", "arm64", `
			90 0b 40 f9 ; 1000 MOVD 16(R28), R16
			ff 63 30 eb ; 1004 CMP R16, RSP
			89 00 00 54 ; 1008 BLS 1018
			fe 0f 1f f8 ; 100c MOVD.W R30, -16(RSP)
			fe 07 41 f8 ; 1010 MOVD.P 16(RSP), R30
			c0 03 5f d6 ; 1014 RET
			e3 03 1e aa ; 1018 MOVD R30, R3
			f9 03 00 94 ; 101c CALL 2000
			f8 ff ff 17 ; 1020 JMP 1000`,
			Point{Addr: 0x1008, Asm: "BLS 4(PC)", Cost: Emulated, When: NotTaken, CC: 9, Why: branch}},
		{"no frame", "arm64", `
			e0 07 00 f9 ; 1000 MOVD R0, 8(RSP)
			40 00 00 b4 ; 1004 CBZ R0, 100c
			00 00 80 d2 ; 1008 MOVD $0, R0
			c0 03 5f d6 ; 100c RET`,
			Point{Addr: 0x1004, Asm: "CBZ R0, 2(PC)", Cost: Emulated, Why: "first emulated instruction"}},
		{"exclusive access", "arm64", `
			30 fc 5f c8 ; 1000 LDAXR (R1), R16
			00 02 00 b4 ; 1004 CBZ R0, 1044
			c0 03 5f d6 ; 1008 RET`,
			Point{}},
	} {
		t.Run(tt.arch+" "+tt.name, func(t *testing.T) {
			c := assembled(t, tt.arch, tt.code)
			p, err := c.Entry()
			if tt.want.Why == "" {
				if err == nil {
					t.Fatalf("got point %+v", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, c, p)
			if diff := cmp.Diff(tt.want, p, withoutBytes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func reg(abi, machine uint8) Location {
	return Location{Known: true, Reg: abi, Machine: machine, Size: 8}
}

func stack(off int64) Location { return Location{Known: true, Stack: true, Off: off, Size: 8} }

func TestAfterCall(t *testing.T) {
	for _, tt := range []struct {
		name, arch, code string
		results, needed  int
		want             Point
	}{
		{"moves", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			49 89 c5       ; 1005 MOVQ AX, R13
			31 c0          ; 1008 XORL AX, AX
			48 89 5c 24 08 ; 100a MOVQ BX, 8(SP)
			31 db          ; 100f XORL BX, BX
			48 89 4c 24 10 ; 1011 MOVQ CX, 16(SP)
			c6 44 24 12 00 ; 1016 MOVB $0, 18(SP)
			31 c9          ; 101b XORL CX, CX
			83 3d 00 00 00 00 00 ; 101d CMPL 0(IP), $0
			74 01          ; 1024 JE 1027
			90             ; 1026 NOP
			c3             ; 1027 RET`, 4, 0,
			Point{Addr: 0x1024, Call: 0x1000, Asm: "JE 0x1027", Cost: Emulated, Why: "next emulated instruction after the call",
				Results: []Location{reg(NoReg, 13), stack(8), {}, reg(3, amd64DI)}}},
		{"indirect call", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 89 44 24 08 ; 1005 MOVQ AX, 8(SP)
			ff d6          ; 100a CALL SI
			e8 ef 1f 00 00 ; 100c CALL 3000
			c3             ; 1011 RET`, 1, 0,
			Point{Addr: 0x100c, Call: 0x1000, Asm: "CALL 0x3000", Cost: Emulated, Why: "next call after the return", Results: []Location{{}}}},
		{"other way in", "amd64", `
			74 08          ; 1000 JE 100a
			e8 f9 0f 00 00 ; 1002 CALL 2000
			48 89 c1       ; 1007 MOVQ AX, CX
			31 c0          ; 100a XORL AX, AX
			90             ; 100c NOP
			c3             ; 100d RET`, 1, 0,
			Point{Addr: 0x1007, Call: 0x1002, Asm: "MOVQ AX, CX", Why: "instruction after the call: no emulated one is provably next",
				Results: []Location{reg(0, amd64AX)}}},
		{"return", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			c3             ; 1005 RET`, 1, 0,
			Point{Addr: 0x1005, Call: 0x1000, Asm: "RET", Why: "RET after the call", Results: []Location{reg(0, amd64AX)}}},
		{"pointer to stack", "amd64", `
			48 83 ec 18    ; 1000 SUBQ $24, SP
			e8 f7 0f 00 00 ; 1004 CALL 2000
			48 89 04 24    ; 1009 MOVQ AX, 0(SP)
			48 89 5c 24 08 ; 100d MOVQ BX, 8(SP)
			48 8d 44 24 08 ; 1012 LEAQ 8(SP), AX
			31 db          ; 1017 XORL BX, BX
			48 89 08       ; 1019 MOVQ CX, 0(AX)
			90             ; 101c NOP
			c3             ; 101d RET`, 3, 0,
			Point{Addr: 0x101c, Call: 0x1004, Asm: "NOPL", Cost: Emulated, SPDelta: -24, Why: "next emulated instruction after the call",
				Results: []Location{stack(0), {}, reg(2, amd64CX)}}},
		{"moves", "arm64", `
			fe 0f 1c f8 ; 1000 MOVD.W R30, -64(RSP)
			ff 03 00 94 ; 1004 CALL 2000
			e0 07 01 a9 ; 1008 STP (R0, R1), 16(RSP)
			e0 03 1f aa ; 100c MOVD ZR, R0
			f1 03 01 aa ; 1010 MOVD R1, R17
			01 00 80 d2 ; 1014 MOVD $0, R1
			1b 00 00 90 ; 1018 ADRP 1000, R27
			c0 03 5f d6 ; 101c RET`, 3, 0,
			Point{Addr: 0x1018, Call: 0x1004, Asm: "ADRP 0(PC), R27", Cost: Emulated, SPDelta: -64,
				Why: "next emulated instruction after the call", Results: []Location{stack(16), reg(NoReg, 17), reg(2, 2)}}},
		{"a result is lost", "arm64", `
			00 04 00 94 ; 1000 CALL 2000
			e3 3b 40 f9 ; 1004 MOVD 112(RSP), R3
			02 00 00 14 ; 1008 JMP 1010
			c0 03 5f d6 ; 100c RET
			c0 03 5f d6 ; 1010 RET`, 4, 4,
			Point{Addr: 0x1004, Call: 0x1000, Asm: "MOVD 112(RSP), R3", Why: "instruction after the call: a result is lost before the next emulated one",
				Results: []Location{reg(0, 0), reg(1, 1), reg(2, 2), reg(3, 3)}}},
	} {
		t.Run(tt.arch+" "+tt.name, func(t *testing.T) {
			c := assembled(t, tt.arch, tt.code)
			points, err := c.AfterCall("callee", tt.results, tt.needed)
			if err != nil {
				t.Fatal(err)
			}
			check(t, c, points...)
			if diff := cmp.Diff([]Point{tt.want}, points, withoutBytes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAfterCallErrors(t *testing.T) {
	c := assembled(t, "amd64", "e8 fb 0f 00 00")
	for callee, want := range map[string]string{
		"other":  "find call of other in function at 0x1000: there is none (it may be inlined)",
		"callee": "find point after call of callee at 0x1000: no instruction is provably next",
	} {
		if _, err := c.AfterCall(callee, 0, 0); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	if _, err := c.AfterCall("callee", 10, 0); err == nil || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("error is %v", err)
	}
}

// TestAtCalls: CALL callee, NOP, CALL callee, CALL another.
func TestAtCalls(t *testing.T) {
	c := assembled(t, "amd64", "e8 fb 0f 00 00\n90\ne8 f5 0f 00 00\ne8 f0 ff 0f 00")
	points, err := c.AtCalls("callee")
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, p := range points {
		got = append(got, p.Addr)
	}
	if diff := cmp.Diff([]uint64{0x1000, 0x1006}, got); diff != "" {
		t.Error(diff)
	}
	if first, err := c.AtCall("callee"); err != nil || first.Addr != 0x1000 {
		t.Errorf("the first is at %#x, %v", first.Addr, err)
	}
	if _, err := c.AtCalls("other"); !errors.Is(err, ErrNoCall) {
		t.Errorf("error is %v", err)
	}
}

// TestBehindCalls: JE behind the first call, CALL callee, MOVQ AX, CX, CALL callee, NOP, RET.
func TestBehindCalls(t *testing.T) {
	c := assembled(t, "amd64", "74 05\ne8 f9 0f 00 00\n48 89 c1\ne8 f1 0f 00 00\n90\nc3")
	points, err := c.BehindCalls("callee", 1)
	if err != nil {
		t.Fatal(err)
	}
	ax := []Location{{Known: true, Size: 8}}
	want := []Point{
		{Addr: 0x1007, Call: 0x1002, Asm: "MOVQ AX, CX", Why: "instruction behind the call", Results: ax},
		{Addr: 0x100f, Call: 0x100a, Asm: "NOPL", Cost: Emulated, Why: "instruction behind the call", Results: ax},
	}
	if diff := cmp.Diff(want, points, withoutBytes); diff != "" {
		t.Error(diff)
	}
	if _, err := c.BehindCalls("other", 1); !errors.Is(err, ErrNoCall) {
		t.Errorf("error is %v", err)
	}
	if _, err := c.BehindCalls("callee", 10); err == nil || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("error is %v", err)
	}
}

func TestCostText(t *testing.T) {
	for _, want := range []Cost{Stepped, Emulated} {
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got := Cost(255)
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%s is read as %v: %v", text, got, err)
		}
	}
	if err := new(Cost).UnmarshalText([]byte("free")); err == nil {
		t.Error("free is a cost")
	}
}
