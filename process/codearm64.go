package process

import "errors"

var arm64 = arch{
	decode: func(b []byte, addr uint64) (insn, error) { return insn{}, errors.ErrUnsupported },
}
