// A gRPC server by grpc-go for the tests of the plugin's client: it answers on a unix socket with what the method's name
// says, and knows no message types. Usage: grpc-go SOCKET; it ends when its standard input does.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rawCodec passes messages on as bytes.
type rawCodec struct{}

func (rawCodec) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (rawCodec) Name() string { return "proto" }

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var server *grpc.Server
	answer := func(_ any, stream grpc.ServerStream) error {
		full, _ := grpc.MethodFromServerStream(stream)
		var message []byte
		// Before the request is read, so that trailers and a request on its way meet.
		if strings.HasSuffix(full, "/Refuse") {
			return status.Error(codes.ResourceExhausted, "früh: 100% voll\n日本")
		}
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		switch full[strings.LastIndex(full, "/")+1:] {
		case "Echo":
			return stream.SendMsg(&message)
		case "Large":
			message = make([]byte, 3_000_000)
			for at := range message {
				message[at] = byte(at % 251)
			}
			return stream.SendMsg(&message)
		case "Fault":
			stream.SetTrailer(metadata.Pairs("terway-fault-bin", string(message)))
			return status.Error(codes.Code(8), "keine Adresse: größer\n日本 100%")
		case "GoodbyeThenEcho":
			// GOAWAY is sent at once; GracefulStop waits for this very call.
			go server.GracefulStop()
			time.Sleep(100 * time.Millisecond)
			return stream.SendMsg(&message)
		case "Crash":
			server.Stop()
			return nil
		default:
			return status.Error(codes.Unimplemented, "no method "+full)
		}
	}
	server = grpc.NewServer(
		grpc.ForceServerCodec(rawCodec{}),
		grpc.UnknownServiceHandler(answer),
		grpc.MaxRecvMsgSize(8<<20),
	)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("listening")
	if err := server.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
