//go:build tools

// tests/interop/franz_go/tools.go: keeps what kgo's and kfake's own tests need in go.mod.
package main

import (
	_ "github.com/klauspost/compress/s2"
	_ "github.com/pierrec/lz4/v4"
	_ "github.com/twmb/franz-go/pkg/kfake"
	_ "github.com/twmb/franz-go/pkg/kmsg"
)
