// Package args is the command line that all servers of the bench share.
package args

import (
	"fmt"
	"os"
	"strconv"
)

// Args says what to serve: PORT MESSAGE_BYTES MODE.
type Args struct {
	Port         int
	MessageBytes int    // how large messages will be: a hint
	Mode         string // echo, framed, tail or broadcast
}

// Parse reads the command line; it ends the program when there is none that it knows.
func Parse() Args {
	args := Args{Mode: "echo"}
	for i, number := range []*int{&args.Port, &args.MessageBytes} {
		if len(os.Args) <= i+1 {
			break
		}
		value, err := strconv.Atoi(os.Args[i+1])
		if err != nil || value < 0 {
			Fail(fmt.Errorf("%q is no number", os.Args[i+1]))
		}
		*number = value
	}
	if len(os.Args) > 3 {
		args.Mode = os.Args[3]
	}
	switch args.Mode {
	case "echo", "framed", "tail", "broadcast":
	default:
		Fail(fmt.Errorf("there is no mode %q", args.Mode))
	}
	return args
}

// Address is where to listen.
func (a Args) Address() string {
	return fmt.Sprintf("127.0.0.1:%d", a.Port)
}

// BufferBytes is how much memory to read into: small where messages are, for it is what an idle
// connection costs most. More than 256 KiB gains little.
func (a Args) BufferBytes() int {
	return min(max(a.MessageBytes+4, 4096), 256*1024)
}

// Fail ends the program.
func Fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
	os.Exit(1)
}
