module millrace.test/franz

go 1.19

require (
	github.com/klauspost/compress v1.17.4
	github.com/pierrec/lz4/v4 v4.1.19
	github.com/twmb/franz-go v1.16.1
	github.com/twmb/franz-go/pkg/kadm v1.10.0
	github.com/twmb/franz-go/pkg/kmsg v1.7.0
)

require golang.org/x/crypto v0.17.0 // indirect
