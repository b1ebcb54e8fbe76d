package grpc

import (
	"slices"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/probes"
)

// Client instruments the client of google.golang.org/grpc: a CLIENT span per call, from the creation of its stream until the
// stream's end, and where the kernel lets it, traceparent and tracestate in the requests.
//
// Its traps are the call in newClientStreamWithParams (newClientStream before 1.38) that begins the first attempt, the place behind the writing of a request's frames in
// the transport's writer, and the entry of (*clientStream).finish
// (https://github.com/grpc/grpc-go/blob/v1.80.0/stream.go, internal/transport/controlbuf.go): three per call. finish is called
// once more for a stream, in the goroutine that waits for its context. Where the compiler has put copies of it in the place of its calls, the trap is
// where those finish the last attempt. A stream that cannot be created is not finished, from 1.43; a trap on
// the way of that error only sees it.
func Client() probes.Probe {
	create, old := library+".newClientStreamWithParams", library+".newClientStream" // the second before 1.38
	stream := func(method string) string { return library + ".(*clientStream)." + method }
	return probes.Probe{
		Name:    library + " client",
		Library: library,
		Needs:   stream("withRetry"),
		Spec:    loadClient,
		Programs: []probes.Program{
			{Name: clientProgClientStream, Sites: []probes.Site{
				{Func: create, At: stream("newAttemptLocked")}, // before 1.43: it is what makes the stream
				{Func: create, At: stream("withRetry")},
				{Func: old, At: stream("newAttemptLocked")},
			}},
			{Name: clientProgStreamFailed, Optional: true, Sites: []probes.Site{
				{Func: create, Failed: stream("withRetry"), Results: 2},
				{Func: old, Failed: stream("withRetry"), Results: 2},
				{Func: create, Failed: stream("retryLocked"), Results: 2}, // if withRetry is inlined there
			}},
			{Name: clientProgWriteHeaders, Injects: true, Optional: true, Sites: []probes.Site{
				{Func: writer("clientHeaderHandler"), After: []string{writer("writeHeader")}}, // from 1.85
				{Func: writer("originateStream"), After: []string{writer("writeHeader")}},
			}},
			{Name: clientProgSteerRequest, Injects: true, Steers: true, InsteadOf: clientProgWriteHeaders, Optional: true, Sites: []probes.Site{
				{Func: writer("writeHeader"), Over: writeField, Results: 2},
			}},
			{Name: clientProgSteerRequestFailed, Injects: true, Steers: true, InsteadOf: clientProgWriteHeaders, Optional: true, Sites: []probes.Site{
				{Func: writer("writeHeader"), Over: writeField, Failed: writeField},
			}},
			{Name: clientProgFinish, Sites: []probes.Site{{Func: stream("finish")}}, Copies: []probes.Copy{
				{Of: stream("finish"), Site: probes.Site{At: library + ".(*csAttempt).finish", Every: true}},
			}},
		},
		Constants:  slices.Concat(callConstants(), clientConstants(), requestConstants(), writeConstants(), steerConstants()),
		NewDecoder: newDecoder(tracepb.Span_SPAN_KIND_CLIENT),
	}
}

// clientConstants are what client.h must know.
func clientConstants() []probes.Constant {
	stream := func(path string) probes.Field { return probes.Field{Type: library + ".clientStream", Path: path} }
	header := func(path string) probes.Field { return probes.Field{Type: transport + ".CallHdr", Path: path} }
	statusError, oldError := status+".Error", oldStatus+".statusError"
	protoOfError := probes.Field{Type: statusError, Path: "e"}                                      // before 1.40
	codeInError := probes.Fields{{Type: statusError, Path: "Code"}, {Type: oldError, Path: "Code"}} // before 1.30
	return []probes.Constant{
		{Name: clientVarMetadataKeys, Of: probes.Types{metadata + ".mdOutgoingKey"}, Optional: true},
		{Name: clientVarRawMetadata, Of: probes.Field{Type: metadata + ".rawMD", Path: "md"}},
		{Name: clientVarRawAdded, Of: probes.Field{Type: metadata + ".rawMD", Path: "added"}},
		{Name: clientVarClientCtx, Of: stream("ctx")},
		{Name: clientVarClientCallHdr, Of: stream("callHdr")},
		{Name: clientVarClientConn, Of: stream("cc")},
		{Name: clientVarClientAttempt, Of: stream("attempt")},
		{Name: clientVarAttemptStream, Of: probes.Field{Type: library + ".csAttempt", Path: "cs"}},
		{Name: clientVarAttemptTransport, Of: probes.Fields{
			{Type: library + ".csAttempt", Path: "transport"}, {Type: library + ".csAttempt", Path: "t"},
		}},
		{Name: clientVarTransportRemoteAddr, Of: probes.Field{Type: transport + ".http2Client", Path: "remoteAddr"}},
		{Name: clientVarCallMethod, Of: header("Method")},
		{Name: clientVarCallHost, Of: header("Host")},
		{Name: clientVarConnTarget, Of: probes.Field{Type: library + ".ClientConn", Path: "target"}},
		{Name: clientVarStatusErrorTypes, Of: probes.Types{"*" + statusError, "*" + oldError}},
		{Name: clientVarErrorStatus, Of: append(probes.Fields{{Type: statusError, Path: "s"}, protoOfError}, codeInError...)},
		{Name: clientVarErrorProto, Of: protoOfError, Optional: true},
		{Name: clientVarErrorCode, Of: codeInError, Optional: true},
		{Name: clientVarErrorStringTypes, Of: probes.Types{"*errors.errorString"}, Optional: true},
	}
}

// writer is a method of what writes a transport's frames, in a goroutine of its own.
func writer(method string) string { return transport + ".(*loopyWriter)." + method }

// writeField encodes one field of a header.
const writeField = http2 + "/hpack.(*Encoder).WriteField"

// requestConstants are what request.h must know; without one of them there is no trace context in requests.
func requestConstants() []probes.Constant {
	constants := optional([]probes.Constant{
		{Name: clientVarHeaderFields, Of: messageField("hf")},
		{Name: clientVarHeaderQuota, Of: messageField("wq")},
		{Name: clientVarHeaderOrphaned, Of: messageField("onOrphaned")},
		{Name: clientVarHeaderStreamId, Of: messageField("streamID")},
		{Name: clientVarClientStreamStream, Of: probes.Field{Type: transport + ".ClientStream", Path: "Stream"}}, // from 1.69
		{Name: clientVarClientStreamCtx, Of: probes.Field{Type: transport + ".ClientStream", Path: "Stream.ctx"}},
		{Name: clientVarClientStreamTransport, Of: probes.Field{Type: transport + ".ClientStream", Path: "ct"}},
		{Name: clientVarStreamCtx, Of: probes.Field{Type: transport + ".Stream", Path: "ctx"}},
		{Name: clientVarStreamId, Of: probes.Field{Type: transport + ".Stream", Path: "id"}},
		{Name: clientVarStreamQuotaInside, Of: probes.Field{Type: transport + ".Stream", Path: "wq.quota"}}, // from 1.77
		{Name: clientVarStreamQuota, Of: probes.Field{Type: transport + ".Stream", Path: "wq"}},
		{Name: clientVarStreamTransport, Of: probes.Field{Type: transport + ".Stream", Path: "ct"}},
		{Name: clientVarTransportMaxList, Of: probes.Field{Type: transport + ".http2Client", Path: "maxSendHeaderListSize"}},
		{Name: clientVarFieldName, Of: probes.Field{Type: http2 + "/hpack.HeaderField", Path: "Name"}},
		{Name: clientVarFieldValue, Of: probes.Field{Type: http2 + "/hpack.HeaderField", Path: "Value"}},
	})
	return append(constants, probes.Constant{Name: clientVarFieldSize, Of: probes.Size(http2 + "/hpack.HeaderField")})
}

// messageField is a field of the message to a transport's writer that asks for a new stream.
func messageField(path string) probes.Fields {
	return fields(path, transport+".clientHeaders", transport+".headerFrame") // the first from 1.85
}

// writeConstants are what write.h must know beside; without one of them nothing is written.
func writeConstants() []probes.Constant {
	return optional([]probes.Constant{
		{Name: clientVarTransportFramer, Of: probes.Field{Type: transport + ".http2Client", Path: "framer"}},
		{Name: clientVarFramerWriter, Of: probes.Field{Type: transport + ".framer", Path: "writer"}},
		{Name: clientVarFramerHttp2, Of: probes.Field{Type: transport + ".framer", Path: "fr"}},
		{Name: clientVarHttp2Wbuf, Of: probes.Field{Type: http2 + ".Framer", Path: "wbuf"}},
		{Name: clientVarWriterBuf, Of: probes.Field{Type: transport + ".bufWriter", Path: "buf"}},
		{Name: clientVarWriterHandle, Of: probes.Field{Type: transport + ".bufWriter", Path: "bufHandle"}}, // from 1.85, for buf
		{Name: clientVarWriterOffset, Of: probes.Field{Type: transport + ".bufWriter", Path: "offset"}},
		{Name: clientVarWriterBatch, Of: probes.Field{Type: transport + ".bufWriter", Path: "batchSize"}},
		{Name: clientVarWriterErr, Of: probes.Field{Type: transport + ".bufWriter", Path: "err"}},
	})
}

// steerConstants are what steering.h must know beside; without one of them nothing is steered.
func steerConstants() []probes.Constant {
	constants := []probes.Constant{
		{Name: clientVarOutStreamId, Of: probes.Field{Type: transport + ".outStream", Path: "id"}},
		{Name: clientVarOutStreamQuota, Of: probes.Field{Type: transport + ".outStream", Path: "wq"}},
		{Name: clientVarTransportLoopy, Of: probes.Field{Type: transport + ".http2Client", Path: "loopy"}},
		{Name: clientVarLoopyBuffer, Of: probes.Field{Type: transport + ".loopyWriter", Path: "hBuf"}},
		{Name: clientVarBufferBuf, Of: probes.Field{Type: "bytes.Buffer", Path: "buf"}},
		{Name: clientVarBufferOff, Of: probes.Field{Type: "bytes.Buffer", Path: "off"}},
		{Name: clientVarBufferWriteString, Of: probes.Entry("bytes.(*Buffer).WriteString")},
		{Name: clientVarRequestReturns, Of: probes.Returns{
			{Func: writer("clientHeaderHandler"), Calls: writer("writeHeader")}, {Func: writer("originateStream"), Calls: writer("writeHeader")},
		}},
		{Name: clientVarPieces, Of: probes.Pieces{}},
	}
	for i := range constants {
		constants[i].Steers = true
	}
	return append(constants, probes.Constant{Name: clientVarIncomingKeys, Of: probes.Types{metadata + ".mdIncomingKey"}, Optional: true})
}

func optional(constants []probes.Constant) []probes.Constant {
	for i := range constants {
		constants[i].Optional = true
	}
	return constants
}
