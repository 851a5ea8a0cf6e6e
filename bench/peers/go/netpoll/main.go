// An echo on netpoll, one poller: netpoll PORT MESSAGE_BYTES MODE.
//
// The handler runs in a plain goroutine, not in gopool's: netpoll's own benchmark chooses so, and
// its documentation recommends it for handlers that need no large stack.
package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudwego/netpoll"

	"netpoll-peers/args"
	"netpoll-peers/frame"
)

func init() {
	_ = netpoll.Configure(netpoll.Config{
		PollerNum: 1,
		Runner:    func(_ context.Context, task func()) { go task() },
	})
}

// echo sends back what is there.
func echo(_ context.Context, conn netpoll.Connection) error {
	reader, writer := conn.Reader(), conn.Writer()
	bytes, err := reader.Next(reader.Len())
	if err != nil {
		return err
	}
	if _, err := writer.WriteBinary(bytes); err != nil {
		return err
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return reader.Release()
}

// isFrameThere says whether a frame can be read without waiting.
func isFrameThere(reader netpoll.Reader) bool {
	if reader.Len() < frame.HeaderBytes {
		return false
	}
	header, err := reader.Peek(frame.HeaderBytes)
	if err != nil {
		return false
	}
	count, err := frame.PayloadBytes(header)
	return err == nil && reader.Len() >= frame.HeaderBytes+count
}

// readPayload waits for a frame. Its payload is lent until Release.
func readPayload(conn netpoll.Connection) ([]byte, error) {
	header, err := conn.Reader().Next(frame.HeaderBytes)
	if err != nil {
		return nil, err
	}
	count, err := frame.PayloadBytes(header)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn.Reader().Next(count)
}

// answer is called when there are bytes, and answers the frames that are there with one Flush.
func answer(conn netpoll.Connection, isTail bool) error {
	reader, writer := conn.Reader(), conn.Writer()
	for {
		payload, err := readPayload(conn)
		if err != nil {
			return err
		}
		if isTail && frame.IsLate() {
			if err := writer.Flush(); err != nil {
				return err
			}
			time.Sleep(frame.Late)
		}
		response, err := writer.Malloc(frame.HeaderBytes + len(payload))
		if err != nil {
			return err
		}
		frame.Append(response[:0], payload)
		if err := reader.Release(); err != nil {
			return err
		}
		if !isFrameThere(reader) {
			return writer.Flush()
		}
	}
}

// member is one of a room. A writer is for one goroutine at a time.
type member struct {
	mutex sync.Mutex
	conn  netpoll.Connection
}

func (m *member) send(bytes []byte) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	// A member that is gone removes itself. Flush waits for a slow one.
	if _, err := m.conn.Writer().WriteBinary(bytes); err == nil {
		_ = m.conn.Writer().Flush()
	}
}

// room has all connections. Reading it takes no lock: joining and leaving copy the list.
type room struct {
	mutex   sync.Mutex
	members atomic.Pointer[[]*member]
}

func (r *room) join(conn netpoll.Connection) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	members := append(slices.Clone(*r.members.Load()), &member{conn: conn})
	r.members.Store(&members)
}

func (r *room) leave(conn netpoll.Connection) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	isLeaving := func(member *member) bool { return member.conn == conn }
	members := slices.DeleteFunc(slices.Clone(*r.members.Load()), isLeaving)
	r.members.Store(&members)
}

// broadcast sends a frame to all others.
func (r *room) broadcast(conn netpoll.Connection) error {
	payload, err := readPayload(conn)
	if err != nil {
		return err
	}
	response := frame.Append(make([]byte, 0, frame.HeaderBytes+len(payload)), payload)
	if err := conn.Reader().Release(); err != nil {
		return err
	}
	for _, member := range *r.members.Load() {
		if member.conn != conn {
			member.send(response)
		}
	}
	return nil
}

func main() {
	command := args.Parse()
	listener, err := netpoll.CreateListener("tcp", command.Address())
	if err != nil {
		args.Fail(err)
	}
	everybody := &room{}
	everybody.members.Store(&[]*member{})

	var options []netpoll.Option
	var handler netpoll.OnRequest
	switch command.Mode {
	case "echo":
		handler = echo
	case "broadcast":
		handler = func(_ context.Context, conn netpoll.Connection) error {
			return everybody.broadcast(conn)
		}
		options = append(options, netpoll.WithOnPrepare(func(conn netpoll.Connection) context.Context {
			everybody.join(conn)
			_ = conn.AddCloseCallback(func(conn netpoll.Connection) error {
				everybody.leave(conn)
				return nil
			})
			return context.Background()
		}))
	default:
		handler = func(_ context.Context, conn netpoll.Connection) error {
			return answer(conn, command.Mode == "tail")
		}
	}

	loop, err := netpoll.NewEventLoop(handler, options...)
	if err != nil {
		args.Fail(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	args.Fail(loop.Serve(listener))
}
