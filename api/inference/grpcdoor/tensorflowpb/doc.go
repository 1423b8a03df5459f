// Package tensorflowpb is the messages of TensorFlow Serving's calls, made from ../proto/tensorflow.proto and
// ../proto/tensorflow_serving.proto by ../proto/generate.sh.
//
// It owns nothing but the wire form. It must never hold a line written by hand beside this one.
package tensorflowpb
