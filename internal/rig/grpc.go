package rig

import (
	"bytes"
	"encoding/binary"
	"time"
)

// noMessage is an empty message: not compressed, of length 0. https://github.com/grpc/grpc/blob/v1.75.0/doc/PROTOCOL-HTTP2.md
var noMessage = []byte{0, 0, 0, 0, 0}

// contentType is the field `content-type: application/grpc` as HPACK has it, by the static table and not kept:
// https://www.rfc-editor.org/rfc/rfc7541#appendix-A
const contentType = "\x0f\x10\x10application/grpc"

// LoadGRPC is Load for a unary method, "/package.Service/Method", that takes an empty message and answers one: depth calls at a time on each
// connection, without TLS.
func LoadGRPC(addr, method string, conns int, d time.Duration) (calls int, took time.Duration, err error) {
	block := []byte{0x83, 0x86, 0x04, byte(len(method))} // POST, http, :path
	block = append(block, method...)
	block = append(block, 0x01, byte(len(addr))) // :authority
	block = append(block, addr...)
	block = append(block, contentType...)
	block = append(block, "\x00\x02te\x08trailers"...)
	return loadHTTP2(addr, conns, d, func(stream uint32) []byte {
		return append(frame(frameHeaders, flagsHeaders, stream, block), frame(frameData, flagEndStream, stream, noMessage)...)
	})
}

// NewGRPCResponder is NewResponder for unary calls: it answers each with an empty message.
func NewGRPCResponder() (*Responder, error) { return newResponder(answerGRPC) }

// answerGRPC answers the requests that have come to their end, and what else a client waits for.
func answerGRPC(data []byte) (used, requests int, answers []byte) {
	whole := data
	if bytes.HasPrefix(data, []byte(preface)) {
		data = data[len(preface):]
		answers = append(frame(frameSettings, 0, 0, nil), wideOpen()...)
	} else if bytes.HasPrefix([]byte(preface), data) {
		return 0, 0, nil
	}
	for len(data) >= frameHeader {
		length := int(data[0])<<16 | int(data[1])<<8 | int(data[2])
		if len(data) < frameHeader+length {
			break
		}
		kind, flags, stream, payload := data[3], data[4], binary.BigEndian.Uint32(data[5:]), data[frameHeader:frameHeader+length]
		switch {
		case (kind == frameSettings || kind == framePing) && flags&flagAck == 0:
			if kind == frameSettings {
				payload = nil
			}
			answers = append(answers, frame(kind, flagAck, 0, payload)...)
		case kind <= frameHeaders && flags&flagEndStream != 0: // DATA or HEADERS
			requests++
			answers = append(answers, frame(frameHeaders, flagsHeaders, stream, []byte("\x88"+contentType))...) // :status 200
			answers = append(answers, frame(frameData, 0, stream, noMessage)...)
			answers = append(answers, frame(frameHeaders, flagsRequest, stream, []byte("\x00\x0bgrpc-status\x010"))...)
		}
		data = data[frameHeader+length:]
	}
	return len(whole) - len(data), requests, answers
}
