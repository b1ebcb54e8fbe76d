package bpf

// What C and Go share, made from the C by bpf2go.
type (
	Points       = sharedPoints
	AddrSet      = sharedAddrSet
	MapLayout    = sharedGoMapLayout
	Sampling     = sharedSampling
	SpanHead     = sharedSpanHead
	ContextTypes = sharedContextTypes
	KnownValues  = sharedKnownValues
	KnownValue   = sharedKnownValue
	ValuePath    = sharedValuePath
	SpanKey      = sharedSpanKey
	ContextKey   = sharedContextKey
	Pieces       = sharedSteerPieces
	TextAddress  = sharedTextAddress
	AddressRange = sharedAddressRange
	Faults       = sharedFaults
)

const (
	BranchAny      = uint8(sharedBranchBRANCH_ANY)
	BranchTaken    = uint8(sharedBranchBRANCH_TAKEN)
	BranchNotTaken = uint8(sharedBranchBRANCH_NOT_TAKEN)

	PlaceRegister = uint8(sharedPlacePLACE_REGISTER)
	PlaceStack    = uint8(sharedPlacePLACE_STACK)

	SamplerAlwaysOn  = uint32(sharedSamplerRootSAMPLER_ALWAYS_ON)
	SamplerAlwaysOff = uint32(sharedSamplerRootSAMPLER_ALWAYS_OFF)
	SamplerRatio     = uint32(sharedSamplerRootSAMPLER_RATIO)
)

// GoroutineOffsetMax is the largest offset of a field of runtime.g, see include/goroutine.h.
const GoroutineOffsetMax = int64(sharedGoroutineLimitsG_OFFSET_MAX)

// Kinds of unwinding, and the constants of include/panic.h.
const (
	PanicNone   = uint32(sharedPanicKindPANIC_NONE)
	PanicValue  = uint32(sharedPanicKindPANIC_VALUE)
	PanicGoexit = uint32(sharedPanicKindPANIC_GOEXIT)

	VarGPanic       = sharedVarG_panic
	VarPanicArg     = sharedVarPanicArg
	VarPanicGoexit  = sharedVarPanicGoexit
	VarTextTypes    = sharedVarTextTypes
	VarBoundsTypes  = sharedVarBoundsTypes
	VarBoundsX      = sharedVarBoundsX
	VarBoundsY      = sharedVarBoundsY
	VarBoundsSigned = sharedVarBoundsSigned
	VarBoundsCode   = sharedVarBoundsCode
)

// WriteSteps is how many writes an injection consists of at most.
const WriteSteps = uint32(sharedWriteStepWRITE_STEPS) - 1

// Texts that trace context is joined of, as places in Pieces.Texts. Of the ends there is one for each value of the flags, 0 to 3.
const (
	TextLineName   = int(sharedSteerTextTEXT_LINE_NAME)
	TextFieldName  = int(sharedSteerTextTEXT_FIELD_NAME)
	TextVersion    = int(sharedSteerTextTEXT_VERSION)
	TextDash       = int(sharedSteerTextTEXT_DASH)
	TextLineEnd    = int(sharedSteerTextTEXT_LINE_END)
	TextFieldEnd   = int(sharedSteerTextTEXT_FIELD_END)
	TextStateLine  = int(sharedSteerTextTEXT_STATE_LINE)
	TextStateField = int(sharedSteerTextTEXT_STATE_FIELD)
	TextEnd        = int(sharedSteerTextTEXT_END)
	TextCount      = int(sharedSteerTextTEXT_COUNT)
)

// Of a constant of the program, and of a text in a page that was not present, an event has the address instead: TextByAddress is set in its length, the
// bytes are a TextAddress. No text is longer than TextLongest bytes.
const (
	TextByAddress = uint16(sharedTextFormTEXT_BY_ADDRESS)
	TextLongest   = uint64(sharedTextFormTEXT_LONGEST)
)

const operationIdle = uint32(sharedOperationStateOPERATION_IDLE)

// ContextPathEnd is the second step of a path that has only one.
const ContextPathEnd = int32(sharedContextLimitsCONTEXT_PATH_END)

// ValueStrings is how many strings can be read of a value whose type is in a KnownValues.
const ValueStrings = int(sharedValueLimitsVALUE_STRING_COUNT)

// ValuePathEnd ends a path that has fewer steps than there is room for.
const ValuePathEnd = int32(sharedValueLimitsVALUE_PATH_END)

// Absent is the offset of a field that a binary does not have.
const Absent = int64(-1)

// PackPiece is the form of a piece of read-only memory in Pieces: its link-time address and its length in bytes. UnpackPiece is its
// inverse.
func PackPiece(addr, size uint64) uint64 { return addr | size<<sharedPieceFormPIECE_ADDR_BITS }

// UnpackPiece returns a piece's link-time address and its length in bytes.
func UnpackPiece(packed uint64) (addr, size uint64) {
	return packed & (1<<sharedPieceFormPIECE_ADDR_BITS - 1), packed >> sharedPieceFormPIECE_ADDR_BITS
}

// Losses counts, since the start of the agent, what the kernel side did not deliver whole.
type Losses struct {
	RingFull    uint64 // spans lost: the ring buffer was full
	MapFull     uint64 // spans lost: too many operations in flight
	Read        uint64 // spans lost: the target's memory was not readable
	Unsupported uint64 // operations of a kind that has no probe yet
	Unsampled   uint64 // operations that the sampler left out
	Truncated   uint64 // pieces of text that were cut
	Headers     uint64 // header maps too large to search

	// Requests that went out without trace context:
	NoRoom      uint64 // the target's buffer had no room for it
	HeaderShare uint64 // several calls at the same time share one header map
	OtherWriter uint64 // the target writes its requests by other means than expected
	WriteFault  uint64 // the target's memory was not writable
	Preempted   uint64 // the goroutine was preempted where it must not be
}

func (l *Losses) set(kind sharedLoss, n uint64) {
	fields := map[sharedLoss]*uint64{
		sharedLossLOSS_RING_FULL:        &l.RingFull,
		sharedLossLOSS_MAP_FULL:         &l.MapFull,
		sharedLossLOSS_READ:             &l.Read,
		sharedLossLOSS_UNSUPPORTED:      &l.Unsupported,
		sharedLossLOSS_UNSAMPLED:        &l.Unsampled,
		sharedLossLOSS_TRUNCATED:        &l.Truncated,
		sharedLossLOSS_HEADERS:          &l.Headers,
		sharedLossLOSS_INJECT_NO_ROOM:   &l.NoRoom,
		sharedLossLOSS_INJECT_SHARED:    &l.HeaderShare,
		sharedLossLOSS_INJECT_WRITER:    &l.OtherWriter,
		sharedLossLOSS_INJECT_FAULT:     &l.WriteFault,
		sharedLossLOSS_INJECT_PREEMPTED: &l.Preempted,
	}
	if f, ok := fields[kind]; ok {
		*f = n
	}
}
