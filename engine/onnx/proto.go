package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
)

// Numbers of onnx.proto3 (ONNX 1.11, IR version 8): element types, attribute types, versions.
const (
	typeFloat  = format.Float
	typeInt64  = format.Int64
	typeString = format.String
	typeBool   = format.Bool
	typeDouble = format.Double

	attributeFloat   = 1
	attributeInt     = 2
	attributeString  = 3
	attributeFloats  = 6
	attributeInts    = 7
	attributeStrings = 8

	irVersion = 8
	opset     = 15
	opsetML   = 3
	domainML  = "ai.onnx.ml"
)

// message is a protobuf message being written.
type message []byte

func (m *message) int(field protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendTag(*m, field, protowire.Fixed32Type)
	*m = protowire.AppendFixed32(*m, math.Float32bits(v))
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, v)
}

func (m *message) text(field protowire.Number, v string) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendString(*m, v)
}

// attribute is one attribute of a node.
type attribute func() message

func newAttribute(name string, kind int64) message {
	var m message
	m.text(1, name)
	m.int(20, kind)
	return m
}

func floatAttribute(name string, v float32) attribute {
	return func() message { m := newAttribute(name, attributeFloat); m.float(2, v); return m }
}

func intAttribute(name string, v int64) attribute {
	return func() message { m := newAttribute(name, attributeInt); m.int(3, v); return m }
}

func stringAttribute(name, v string) attribute {
	return func() message { m := newAttribute(name, attributeString); m.text(4, v); return m }
}

func floatsAttribute(name string, v []float32) attribute {
	return func() message {
		m := newAttribute(name, attributeFloats)
		packed := make([]byte, 0, 4*len(v))
		for _, f := range v {
			packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(f))
		}
		m.bytes(7, packed)
		return m
	}
}

func intsAttribute(name string, v []int64) attribute {
	return func() message {
		m := newAttribute(name, attributeInts)
		var packed []byte
		for _, i := range v {
			packed = protowire.AppendVarint(packed, uint64(i))
		}
		m.bytes(8, packed)
		return m
	}
}

func stringsAttribute(name string, v []string) attribute {
	return func() message {
		m := newAttribute(name, attributeStrings)
		for _, s := range v {
			m.text(9, s)
		}
		return m
	}
}

// doubles is a tensor of doubles in row-major order.
func doubles(name string, dims []int64, v []float64) message {
	raw := make([]byte, 0, 8*len(v))
	for _, f := range v {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(f))
	}
	return tensor(name, typeDouble, dims, raw)
}

func int64s(name string, dims, v []int64) message {
	raw := make([]byte, 0, 8*len(v))
	for _, i := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(i))
	}
	return tensor(name, typeInt64, dims, raw)
}

func floats(name string, dims []int64, v []float32) message {
	raw := make([]byte, 0, 4*len(v))
	for _, f := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
	}
	return tensor(name, typeFloat, dims, raw)
}

func tensor(name string, kind int64, dims []int64, raw []byte) message {
	var m message
	for _, d := range dims {
		m.int(1, d)
	}
	m.int(2, kind)
	m.text(8, name)
	m.bytes(9, raw)
	return m
}

// valueInfo describes an input or output; the first dimension is free, and a dimension of 0 is left out.
func valueInfo(name string, kind int64, columns int64, doc string) message {
	var free, shape, tensorType, typeProto, m message
	free.text(2, "N")
	shape.bytes(1, free)
	if columns > 0 {
		var fixed message
		fixed.int(1, columns)
		shape.bytes(1, fixed)
	}
	tensorType.int(1, kind)
	tensorType.bytes(2, shape)
	typeProto.bytes(1, tensorType)
	m.text(1, name)
	m.bytes(2, typeProto)
	if doc != "" {
		m.text(3, doc)
	}
	return m
}
