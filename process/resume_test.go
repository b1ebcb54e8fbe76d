package process

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResume(t *testing.T) {
	const (
		back   = "where the call has come back"
		behind = "instruction behind the call: no emulated one is provably next"
	)
	home := []Location{reg(0, amd64AX), reg(1, amd64BX)}
	for _, tt := range []struct {
		name, arch, code string
		followup         Followup
		want             Point
	}{
		{"a check of the error", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 85 c0       ; 1005 TESTQ AX, AX
			75 01          ; 1008 JNE 100b
			90             ; 100a NOP
			c3             ; 100b RET`, Others,
			Point{Addr: 0x1008, Return: 0x1005, Asm: "JNE 0x100b", Cost: Emulated, Why: back, Results: home}},
		{"results are stored first", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 89 5c 24 08 ; 1005 MOVQ BX, 8(SP)
			75 01          ; 100a JNE 100d
			90             ; 100c NOP
			c3             ; 100d RET`, Others,
			Point{Addr: 0x1005, Return: 0x1005, Asm: "MOVQ BX, 0x8(SP)", Why: behind, Results: home}},
		{"results are stored by each of the same calls", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 89 5c 24 08 ; 1005 MOVQ BX, 8(SP)
			75 01          ; 100a JNE 100d
			90             ; 100c NOP
			c3             ; 100d RET`, Again,
			Point{Addr: 0x100a, Return: 0x1005, Asm: "JNE 0x100d", Cost: Emulated, Why: back, Results: home}},
		{"something is counted", "amd64", `
			e8 fb 0f 00 00    ; 1000 CALL 2000
			48 83 44 24 08 01 ; 1005 ADDQ $1, 8(SP)
			75 01             ; 100b JNE 100e
			90                ; 100d NOP
			c3                ; 100e RET`, Again,
			Point{Addr: 0x1005, Return: 0x1005, Asm: "ADDQ $0x1, 0x8(SP)", Why: behind, Results: home}},
		{"something is stored behind a pointer", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 89 5e 08    ; 1005 MOVQ BX, 8(SI)
			75 01          ; 1009 JNE 100c
			90             ; 100b NOP
			c3             ; 100c RET`, Again,
			Point{Addr: 0x1005, Return: 0x1005, Asm: "MOVQ BX, 0x8(SI)", Why: behind, Results: home}},
		{"a result is moved", "amd64", `
			e8 fb 0f 00 00 ; 1000 CALL 2000
			48 89 c8       ; 1005 MOVQ CX, AX
			75 01          ; 1008 JNE 100b
			90             ; 100a NOP
			c3             ; 100b RET`, Others,
			Point{Addr: 0x1005, Return: 0x1005, Asm: "MOVQ CX, AX", Why: behind, Results: home}},
		{"a check of the error", "arm64", `
			00 04 00 94 ; 1000 CALL 2000
			60 00 00 b5 ; 1004 CBNZ R0, 1010
			c0 03 5f d6 ; 1008 RET`, Others,
			Point{Addr: 0x1004, Return: 0x1004, Asm: "CBNZ R0, 3(PC)", Cost: Emulated, Why: back, Results: []Location{reg(0, 0), reg(1, 1)}}},
	} {
		t.Run(tt.arch+" "+tt.name, func(t *testing.T) {
			c := assembled(t, tt.arch, tt.code)
			p, err := c.Resume("callee", 2, tt.followup)
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

func TestResumeErrors(t *testing.T) {
	c := assembled(t, "amd64", `
		e8 fb 0f 00 00 ; 1000 CALL 2000
		48 85 c0       ; 1005 TESTQ AX, AX
		75 fb          ; 1008 JNE 1005
		c3             ; 100a RET`)
	if _, err := c.Resume("callee", 2, Others); err == nil {
		t.Error("other code jumps behind the call, and a point is found")
	}
	if _, err := c.Resume("other", 2, Others); !errors.Is(err, ErrNoCall) {
		t.Errorf("there is no such call: %v", err)
	}
	if _, err := c.Resume("callee", 100, Others); err == nil {
		t.Error("100 results fit in registers")
	}
}
