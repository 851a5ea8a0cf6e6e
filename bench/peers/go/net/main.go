// An echo on Go's net, a goroutine for each connection: net PORT MESSAGE_BYTES MODE.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"netpoll-peers/args"
	"netpoll-peers/frame"
)

// Between two sockets io.Copy is splice(2). Below this size of messages it costs the same as Read
// and Write, and a pipe for each connection besides; at 1 MiB it costs a fifth less.
const spliceBytesMin = 64 * 1024

// echo sends back what a read brought. TCP_NODELAY is on unless switched off.
func echo(conn net.Conn, messageBytes, bufferBytes int) error {
	if messageBytes >= spliceBytesMin {
		_, err := io.Copy(conn, conn)
		return err
	}
	buffer := make([]byte, bufferBytes)
	for {
		count, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		if _, err := conn.Write(buffer[:count]); err != nil {
			return err
		}
	}
}

// requests reads frames, one after the other, into one array.
type requests struct {
	reader  *bufio.Reader
	payload []byte
}

func newRequests(conn net.Conn, bufferBytes int) *requests {
	return &requests{reader: bufio.NewReaderSize(conn, bufferBytes)}
}

// next is the next payload; valid until the next call.
func (r *requests) next() ([]byte, error) {
	header, err := r.reader.Peek(frame.HeaderBytes)
	if err != nil {
		return nil, err
	}
	count, err := frame.PayloadBytes(header)
	if err != nil {
		return nil, err
	}
	if _, err := r.reader.Discard(frame.HeaderBytes); err != nil {
		return nil, err
	}
	r.payload = slices.Grow(r.payload[:0], count)[:count]
	_, err = io.ReadFull(r.reader, r.payload)
	return r.payload, err
}

// isNextThere says whether another frame can be read without waiting. What does not fit into the
// reader's buffer cannot.
func (r *requests) isNextThere() bool {
	buffered := r.reader.Buffered()
	if buffered < frame.HeaderBytes {
		return false
	}
	header, _ := r.reader.Peek(frame.HeaderBytes)
	count, err := frame.PayloadBytes(header)
	return err == nil && buffered >= frame.HeaderBytes+count
}

// framed answers every frame with one of the same payload: those that came together go together.
func framed(conn net.Conn, bufferBytes int, isTail bool) error {
	requests := newRequests(conn, bufferBytes)
	var response []byte
	for {
		payload, err := requests.next()
		if err != nil {
			return err
		}
		if isTail && frame.IsLate() {
			if _, err := conn.Write(response); err != nil {
				return err
			}
			response = response[:0]
			time.Sleep(frame.Late)
		}
		response = frame.Append(response, payload)
		if len(response) < bufferBytes && requests.isNextThere() {
			continue
		}
		if _, err := conn.Write(response); err != nil {
			return err
		}
		response = response[:0]
	}
}

// room has all connections. Reading it takes no lock: joining and leaving copy the list.
type room struct {
	mutex   sync.Mutex
	members atomic.Pointer[[]net.Conn]
}

func (r *room) join(conn net.Conn) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	members := append(slices.Clone(*r.members.Load()), conn)
	r.members.Store(&members)
}

func (r *room) leave(conn net.Conn) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	isLeaving := func(member net.Conn) bool { return member == conn }
	members := slices.DeleteFunc(slices.Clone(*r.members.Load()), isLeaving)
	r.members.Store(&members)
}

// broadcast sends every frame to all others. Write waits for a slow member, and so does its sender;
// it may be called from several goroutines at a time, and writes all or nothing of them in between.
func broadcast(conn net.Conn, bufferBytes int, everybody *room) error {
	requests := newRequests(conn, bufferBytes)
	var response []byte
	for {
		payload, err := requests.next()
		if err != nil {
			return err
		}
		response = frame.Append(response[:0], payload)
		for _, member := range *everybody.members.Load() {
			if member != conn {
				_, _ = member.Write(response) // a member that is gone removes itself
			}
		}
	}
}

func main() {
	command := args.Parse()
	listener, err := net.Listen("tcp", command.Address())
	if err != nil {
		args.Fail(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)

	everybody := &room{}
	everybody.members.Store(&[]net.Conn{})
	serve := func(conn net.Conn) {
		defer conn.Close()
		switch command.Mode {
		case "echo":
			_ = echo(conn, command.MessageBytes, command.BufferBytes())
		case "broadcast":
			defer everybody.leave(conn)
			_ = broadcast(conn, command.BufferBytes(), everybody)
		default:
			_ = framed(conn, command.BufferBytes(), command.Mode == "tail")
		}
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			args.Fail(err)
		}
		// It is here and not in the goroutine: the first to connect is sent to first.
		if command.Mode == "broadcast" {
			everybody.join(conn)
		}
		go serve(conn)
	}
}
