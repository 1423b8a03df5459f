#!/bin/sh
# Generates the Go of the .proto files here. It needs uv (or another way to grpcio-tools 1.81.1, which holds protoc 33) and Go.
set -eu
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go
GOBIN=$bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
: "${PROTOC:=uv run --no-project --with grpcio-tools==1.81.1 python -m grpc_tools.protoc}"
PATH=$bin:$PATH $PROTOC -I. --go_out=../../../.. --go_opt=module=github.com/trimtab-ml/trimtab \
  --go-grpc_out=../../../.. --go-grpc_opt=module=github.com/trimtab-ml/trimtab \
  inference.proto tensorflow.proto tensorflow_serving.proto
