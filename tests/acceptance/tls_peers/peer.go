// Speaks TLS by crypto/tls, as a client or as a server of an echo: see peer.py beside it. Also connects
// once alone, and many times: peer once PORT FOLDER VERSION BYTES, peer short PORT FOLDER COUNT AT_ONCE.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

const piece = 100_000

var versions = map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
var names = map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}

type found struct {
	Protocols []string `json:"protocols"`
	Resumed   []bool   `json:"resumed"`
	Alpn      []string `json:"alpn"`
	Equal     int      `json:"equal"`
	Clean     int      `json:"clean"`
	Refused   int      `json:"refused"`
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func authorities(folder string) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(folder + "/ca.pem")))
	return pool
}

func identity(folder, name string) []tls.Certificate {
	file := folder + "/" + name + ".pem"
	return []tls.Certificate{must(tls.LoadX509KeyPair(file, file))}
}

func clientConfig(folder string) *tls.Config {
	return &tls.Config{
		RootCAs:            authorities(folder),
		Certificates:       identity(folder, "client"),
		ServerName:         "localhost",
		NextProtos:         []string{"a", "echo"},
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
}

// Sends while it reads, ends its side alone, and reads to the end: the server must say that, too.
func echoOnce(connection *tls.Conn, size int64) bool {
	sent, received := sha256.New(), sha256.New()
	done := make(chan error)
	go func() {
		_, err := io.CopyBuffer(connection, io.TeeReader(io.LimitReader(rand.Reader, size), sent), make([]byte, piece))
		if err == nil {
			err = connection.CloseWrite()
		}
		done <- err
	}()
	must(io.Copy(received, connection))
	must(0, <-done)
	return bytes.Equal(sent.Sum(nil), received.Sum(nil))
}

func isRefused(port string, config *tls.Config) bool {
	connection, err := tls.Dial("tcp", "127.0.0.1:"+port, config)
	if err != nil {
		return true
	}
	defer connection.Close()
	connection.Write([]byte("x"))
	_, err = connection.Read(make([]byte, 1)) // in TLS 1.3 the refusal comes here
	return err != nil && err != io.EOF
}

func client(port, folder, version string, size int64, times int) {
	config := clientConfig(folder)
	config.MinVersion, config.MaxVersion = versions[version], versions[version]
	var seen found
	for n := 0; n < times; n++ {
		connection := must(tls.Dial("tcp", "127.0.0.1:"+port, config))
		state := connection.ConnectionState()
		seen.Protocols = append(seen.Protocols, names[state.Version])
		seen.Resumed = append(seen.Resumed, state.DidResume)
		seen.Alpn = append(seen.Alpn, state.NegotiatedProtocol)
		if echoOnce(connection, size) {
			seen.Equal++
		}
		seen.Clean++
		connection.Close()
	}
	if times > 1 {
		seen.Refused = refusals(port, config)
	}
	fmt.Println(string(must(json.Marshal(seen))))
}

// Without a certificate, and under another name.
func refusals(port string, config *tls.Config) (count int) {
	stranger, elsewhere := config.Clone(), config.Clone()
	stranger.Certificates, stranger.ClientSessionCache = nil, nil
	elsewhere.ServerName, elsewhere.ClientSessionCache = "other.example.org", nil
	for _, wrong := range []*tls.Config{stranger, elsewhere} {
		if isRefused(port, wrong) {
			count++
		}
	}
	return
}

func short(port, folder string, count, atOnce int) {
	config := clientConfig(folder)
	config.ClientSessionCache = nil
	var right, taken int64
	var all sync.WaitGroup
	for n := 0; n < atOnce; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			back := make([]byte, 5)
			for atomic.AddInt64(&taken, 1) <= int64(count) {
				connection := must(tls.Dial("tcp", "127.0.0.1:"+port, config))
				must(connection.Write([]byte("hello")))
				must(io.ReadFull(connection, back))
				must(0, connection.Close())
				if string(back) == "hello" {
					atomic.AddInt64(&right, 1)
				}
			}
		}()
	}
	all.Wait()
	fmt.Println(right)
}

func serveOne(raw net.Conn, config *tls.Config) {
	connection := tls.Server(raw, config)
	defer connection.Close()
	// Without an error after close_notify; a cut is one (io.ErrUnexpectedEOF, or the kernel's).
	if _, err := io.CopyBuffer(struct{ io.Writer }{connection}, struct{ io.Reader }{connection}, make([]byte, piece)); err != nil {
		fmt.Println("cut")
		return
	}
	connection.CloseWrite()
	fmt.Println("clean", connection.ConnectionState().PeerCertificates[0].Subject.CommonName)
}

func server(folder string) {
	config := &tls.Config{
		Certificates: identity(folder, "server"),
		ClientCAs:    authorities(folder),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		NextProtos:   []string{"echo"},
	}
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	for {
		go serveOne(must(listener.Accept()), config)
	}
}

func main() {
	arguments := os.Args[2:]
	times := 3
	switch os.Args[1] {
	case "once":
		times = 1
		fallthrough
	case "client":
		client(arguments[0], arguments[1], arguments[2], must(strconv.ParseInt(arguments[3], 10, 64)), times)
	case "short":
		short(arguments[0], arguments[1], must(strconv.Atoi(arguments[2])), must(strconv.Atoi(arguments[3])))
	case "server":
		server(arguments[0])
	}
}
