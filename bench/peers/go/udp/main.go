// An echo over UDP with ReadBatch and WriteBatch of golang.org/x/net: recvmmsg and sendmmsg.
//
// A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
package main

import (
	"fmt"
	"log"
	"net"

	"golang.org/x/net/ipv4"
)

const batch, slotBytes, socketBytes = 64, 2048, 4 << 20

func main() {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		log.Fatal(err)
	}
	socket.SetReadBuffer(socketBytes)
	socket.SetWriteBuffer(socketBytes)
	fmt.Printf("listening %d\n", socket.LocalAddr().(*net.UDPAddr).Port)
	packets := ipv4.NewPacketConn(socket)
	received := make([]ipv4.Message, batch)
	for i := range received {
		received[i].Buffers = [][]byte{make([]byte, slotBytes)}
	}
	answers := make([]ipv4.Message, 0, batch)
	for {
		count, err := packets.ReadBatch(received, 0)
		if err != nil {
			log.Fatal(err)
		}
		answers = answers[:0]
		for _, message := range received[:count] {
			bytes := message.Buffers[0][:message.N]
			if len(bytes) < 9 || bytes[8] == 0 || bytes[0]&63 == 63 {
				answers = append(answers, ipv4.Message{Buffers: [][]byte{bytes}, Addr: message.Addr})
			}
		}
		for rest := answers; len(rest) > 0; {
			sent, err := packets.WriteBatch(rest, 0)
			if err != nil {
				log.Fatal(err)
			}
			rest = rest[sent:]
		}
	}
}
