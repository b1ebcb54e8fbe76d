package process

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReturns(t *testing.T) {
	const before = "before the return"
	constant := func(v int64) Location { return Location{Const: true, Value: v, Size: 8} }
	for _, tt := range []struct {
		name, arch, code string
		results          int
		want             []Point
	}{
		{"two branches into one return", "amd64", `
			48 83 ec 20    ; 1000 SUBQ $32, SP
			48 85 c0       ; 1004 TESTQ AX, AX
			75 08          ; 1007 JNE 1011
			48 89 44 24 18 ; 1009 MOVQ AX, 24(SP)
			31 c9          ; 100e XORL CX, CX
			90             ; 1010 NOP
			48 8b 44 24 18 ; 1011 MOVQ 24(SP), AX
			48 89 cb       ; 1016 MOVQ CX, BX
			48 83 c4 20    ; 1019 ADDQ $32, SP
			c3             ; 101d RET`, 2,
			[]Point{
				{Addr: 0x1007, Asm: "JNE 0x1011", Cost: Emulated, When: Taken, CC: 5, SPDelta: -32, Why: before,
					Results: []Location{stack(24), reg(2, amd64CX)}},
				{Addr: 0x1010, Asm: "NOPL", Cost: Emulated, SPDelta: -32, Why: before,
					Results: []Location{stack(24), reg(2, amd64CX)}},
			}},
		{"one branch, two ways", "amd64", `
			48 85 c0    ; 1000 TESTQ AX, AX
			74 08       ; 1003 JE 100d
			bb 07 00 00 00 ; 1005 MOVL $7, BX
			48 89 d8    ; 100a MOVQ BX, AX
			c3          ; 100d RET`, 1,
			[]Point{
				{Addr: 0x1003, Asm: "JE 0x100d", Cost: Emulated, When: Taken, CC: 4, Why: before,
					Results: []Location{reg(0, amd64AX)}},
				{Addr: 0x1003, Asm: "JE 0x100d", Cost: Emulated, When: NotTaken, CC: 4, Why: before,
					Results: []Location{constant(7)}},
			}},
		{"one branch, two ways, same results", "amd64", `
			48 85 c0 ; 1000 TESTQ AX, AX
			74 03    ; 1003 JE 1008
			48 89 da ; 1005 MOVQ BX, DX
			c3       ; 1008 RET`, 1,
			[]Point{{Addr: 0x1003, Asm: "JE 0x1008", Cost: Emulated, Why: before, Results: []Location{reg(0, amd64AX)}}}},
		{"narrow result", "amd64", `
			eb 00          ; 1000 JMP 1002
			0f b6 44 24 08 ; 1002 MOVZX 8(SP), AX
			c3             ; 1007 RET`, 1,
			[]Point{{Addr: 0x1000, Asm: "JMP 0x1002", Cost: Emulated, Why: before,
				Results: []Location{{Known: true, Stack: true, Off: 8, Size: 1}}}}},
		{"constant by way of a slot", "amd64", `
			90                      ; 1000 NOP
			c7 44 24 08 ff ff ff ff ; 1001 MOVL $-1, 8(SP)
			8b 44 24 08             ; 1009 MOVL 8(SP), AX
			48 c7 c3 ff ff ff ff    ; 100d MOVQ $-1, BX
			c3                      ; 1014 RET`, 2,
			[]Point{{Addr: 0x1000, Asm: "NOPL", Cost: Emulated, Why: before,
				Results: []Location{constant(0xffffffff), constant(-1)}}}},
		{"SP unknown", "amd64", `
			90             ; 1000 NOP
			c9             ; 1001 LEAVE
			48 8b 44 24 08 ; 1002 MOVQ 8(SP), AX
			c3             ; 1007 RET`, 1,
			[]Point{{Addr: 0x1007, Asm: "RET", Results: []Location{reg(0, amd64AX)},
				Why: "RET itself: a result comes from elsewhere than a register or the stack"}}},
		{"call before", "amd64", `
			90             ; 1000 NOP
			e8 fa 0f 00 00 ; 1001 CALL 2000
			c3             ; 1006 RET`, 0,
			[]Point{{Addr: 0x1006, Asm: "RET", Why: "RET itself: a call comes right before it"}}},
		{"result from memory", "amd64", `
			90          ; 1000 NOP
			48 8b 40 08 ; 1001 MOVQ 8(AX), AX
			c3          ; 1005 RET`, 1,
			[]Point{{Addr: 0x1005, Asm: "RET", Results: []Location{reg(0, amd64AX)},
				Why: "RET itself: a result comes from elsewhere than a register or the stack"}}},
		{"slot that a pointer reaches", "amd64", `
			48 8d 5c 24 08 ; 1000 LEAQ 8(SP), BX
			90             ; 1005 NOP
			48 89 03       ; 1006 MOVQ AX, 0(BX)
			48 8b 44 24 08 ; 1009 MOVQ 8(SP), AX
			c3             ; 100e RET`, 1,
			[]Point{{Addr: 0x100e, Asm: "RET", Results: []Location{reg(0, amd64AX)},
				Why: "RET itself: a result comes from elsewhere than a register or the stack"}}},
		{"jump table", "amd64", `
			48 85 c0 ; 1000 TESTQ AX, AX
			74 02    ; 1003 JE 1007
			ff e0    ; 1005 JMP AX
			c3       ; 1007 RET`, 0,
			[]Point{{Addr: 0x1007, Asm: "RET", Why: "RET itself: an indirect jump may lead to it"}}},
		{"entered from nowhere", "amd64", `
			c3 ; 1000 RET
			c3 ; 1001 RET`, 0,
			[]Point{
				{Addr: 0x1000, Asm: "RET", Why: "RET itself: no emulated instruction before it"},
				{Addr: 0x1001, Asm: "RET", Why: "RET itself: nothing seen leads to it"},
			}},
		{"RET is simulated", "arm64", `
			40 00 00 b4 ; 1000 CBZ R0, 1008
			e0 03 01 aa ; 1004 MOVD R1, R0
			c0 03 5f d6 ; 1008 RET`, 1,
			[]Point{{Addr: 0x1008, Asm: "RET", Cost: Emulated, Why: "RET itself", Results: []Location{reg(0, 0)}}}},
	} {
		t.Run(tt.arch+" "+tt.name, func(t *testing.T) {
			c := assembled(t, tt.arch, tt.code)
			points, err := c.Returns(tt.results)
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
