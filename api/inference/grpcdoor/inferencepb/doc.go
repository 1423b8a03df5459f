// Package inferencepb is the messages of the Open Inference Protocol over gRPC with Triton's extensions, made from
// ../proto/inference.proto by ../proto/generate.sh.
//
// It owns nothing but the wire form. It must never hold a line written by hand beside this one.
package inferencepb
