// An echo on gnet, one event loop: gnet PORT MESSAGE_BYTES MODE.
//
// Answers go out with Write inside OnTraffic, as in gnet's own echo and codec examples: nothing
// here blocks, so the pool of goroutines that its documentation has for what does would only cost.
package main

import (
	"fmt"
	"time"

	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"netpoll-peers/args"
	"netpoll-peers/frame"
)

// server is told of everything by one event loop: nothing in it needs a lock.
type server struct {
	gnet.BuiltinEventEngine
	mode     string
	response []byte // reused: what Write does not send at once it copies
	members  map[gnet.Conn]struct{}
}

// waiting is the context of a connection whose answer is late.
type waiting struct{}

// OnBoot says where it listens; gnet has no other way to tell what port 0 became.
func (s *server) OnBoot(engine gnet.Engine) gnet.Action {
	fd, err := engine.Dup()
	if err != nil {
		args.Fail(err)
	}
	defer unix.Close(fd)
	address, err := unix.Getsockname(fd)
	if err != nil {
		args.Fail(err)
	}
	fmt.Printf("listening %d\n", address.(*unix.SockaddrInet4).Port)
	return gnet.None
}

// OnOpen adds a new connection to the room.
func (s *server) OnOpen(conn gnet.Conn) ([]byte, gnet.Action) {
	if s.mode == "broadcast" {
		s.members[conn] = struct{}{}
	}
	return nil, gnet.None
}

// OnClose removes a connection from the room.
func (s *server) OnClose(conn gnet.Conn, _ error) gnet.Action {
	delete(s.members, conn)
	return gnet.None
}

// OnTraffic answers what is there.
func (s *server) OnTraffic(conn gnet.Conn) gnet.Action {
	if s.mode == "echo" {
		return echo(conn)
	}
	return s.answer(conn)
}

func echo(conn gnet.Conn) gnet.Action {
	bytes, err := conn.Next(-1)
	if err != nil {
		return gnet.Close
	}
	if _, err := conn.Write(bytes); err != nil {
		return gnet.Close
	}
	return gnet.None
}

// peekPayload is the payload of the next frame, lent until Discard; nil when it is not there in
// full.
func peekPayload(conn gnet.Conn) ([]byte, error) {
	if conn.InboundBuffered() < frame.HeaderBytes {
		return nil, nil
	}
	header, err := conn.Peek(frame.HeaderBytes)
	if err != nil {
		return nil, err
	}
	count, err := frame.PayloadBytes(header)
	if err != nil || conn.InboundBuffered() < frame.HeaderBytes+count {
		return nil, err
	}
	bytes, err := conn.Peek(frame.HeaderBytes + count)
	if err != nil {
		return nil, err
	}
	return bytes[frame.HeaderBytes:], nil
}

// answer answers the frames that are there with one Write, up to one that is late.
func (s *server) answer(conn gnet.Conn) gnet.Action {
	if conn.Context() == (waiting{}) {
		return gnet.None
	}
	s.response = s.response[:0]
	for {
		payload, err := peekPayload(conn)
		if err != nil {
			return gnet.Close
		}
		if payload == nil {
			break
		}
		count := frame.HeaderBytes + len(payload)
		isLate := s.mode == "tail" && frame.IsLate()
		switch {
		case s.mode == "broadcast":
			s.broadcast(conn, payload)
		case isLate:
			s.answerLate(conn, frame.Append(nil, payload))
		default:
			s.response = frame.Append(s.response, payload)
		}
		if _, err := conn.Discard(count); err != nil {
			return gnet.Close
		}
		if isLate {
			break
		}
	}
	if len(s.response) == 0 {
		return gnet.None
	}
	if _, err := conn.Write(s.response); err != nil {
		return gnet.Close
	}
	return gnet.None
}

// answerLate answers later, and only then what came after it; the event loop goes on meanwhile.
func (s *server) answerLate(conn gnet.Conn, response []byte) {
	conn.SetContext(waiting{})
	time.AfterFunc(frame.Late, func() {
		_ = conn.AsyncWrite(response, func(conn gnet.Conn, err error) error {
			if err != nil {
				return nil
			}
			conn.SetContext(nil)
			if s.answer(conn) == gnet.Close {
				return conn.Close()
			}
			return nil
		})
	})
}

// broadcast sends a frame to all others. gnet keeps what a slow one does not take; nothing in it
// stops reading who sends.
func (s *server) broadcast(from gnet.Conn, payload []byte) {
	s.response = frame.Append(s.response[:0], payload)
	for member := range s.members {
		if member != from {
			_, _ = member.Write(s.response) // gnet closes a member that is gone
		}
	}
	s.response = s.response[:0]
}

func main() {
	command := args.Parse()
	// The bytes of one event: the whole message, where it can.
	bufferBytes := min(max(command.MessageBytes, 64*1024), 1024*1024)
	server := &server{mode: command.Mode, members: map[gnet.Conn]struct{}{}}
	args.Fail(gnet.Run(server, "tcp://"+command.Address(),
		gnet.WithNumEventLoop(1),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithReadBufferCap(bufferBytes),
		gnet.WithWriteBufferCap(bufferBytes),
		// Or it would tell, on standard output, of itself and of every client that resets.
		gnet.WithLogger(zap.NewNop().Sugar()),
	))
}
