// Package frame is what the framed modes agree on: four bytes of length, high byte first, and so
// many bytes of payload.
package frame

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// HeaderBytes is the size of a length.
	HeaderBytes = 4
	// PayloadBytesMax is the largest payload; a client that announces a larger one is disconnected.
	PayloadBytesMax = 16 << 20
	// Late is how much later a late answer goes out.
	Late = 10 * time.Millisecond

	lateOneIn = 100
)

// ErrTooLong says that a client announced more than PayloadBytesMax.
var ErrTooLong = errors.New("payload too long")

var requests atomic.Uint32

// PayloadBytes reads a header.
func PayloadBytes(header []byte) (int, error) {
	count := binary.BigEndian.Uint32(header)
	if count > PayloadBytesMax {
		return 0, ErrTooLong
	}
	return int(count), nil
}

// Append builds a frame at the end of a buffer.
func Append(buffer, payload []byte) []byte {
	buffer = binary.BigEndian.AppendUint32(buffer, uint32(len(payload)))
	return append(buffer, payload...)
}

// IsLate counts a request of mode tail: one in 100 of the server is answered late. Their numbers are
// those of ../../frames.mjs, which says why they are scattered.
func IsLate() bool {
	x := requests.Add(1) * 0x9e3779b1
	x = (x ^ x>>15) * 0x85ebca77
	return (x^x>>13)%lateOneIn == 0
}
