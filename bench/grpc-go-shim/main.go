// The yardstick for the plugin: a CNI plugin by grpc-go that does what a plugin must to call an agent, and no more. It reads
// the environment and the configuration, makes one call of terway.agent.v1.Agent/Add and prints the CNI result.
//
// Messages are written and read by protowire: generated ones would start more slowly.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawCodec passes messages on as bytes.
type rawCodec struct{}

func (rawCodec) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (rawCodec) Name() string { return "proto" }

const deadline = 100 * time.Second

func main() {
	if err := add(); err != nil {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"cniVersion": "1.0.0", "code": 999, "msg": err.Error()})
		os.Exit(1)
	}
}

func add() error {
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var conf struct {
		CniVersion  string `json:"cniVersion"`
		Name        string `json:"name"`
		AgentSocket string `json:"agent_socket"`
	}
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return err
	}
	connection, err := grpc.NewClient("unix:"+conf.AgentSocket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	request := addRequest(conf.Name, stdin)
	var reply []byte
	if err := connection.Invoke(ctx, "/terway.agent.v1.Agent/Add", &request, &reply); err != nil {
		return err
	}
	result, err := readReply(reply)
	if err != nil {
		return err
	}
	result["cniVersion"] = conf.CniVersion
	return json.NewEncoder(os.Stdout).Encode(result)
}

func addRequest(network string, config []byte) []byte {
	call := protowire.AppendTag(nil, 1, protowire.VarintType)
	call = protowire.AppendVarint(call, 1)
	call = protowire.AppendTag(call, 2, protowire.VarintType)
	call = protowire.AppendVarint(call, uint64(deadline.Milliseconds()))
	call = appendBytes(call, 4, config)
	attachment := appendBytes(nil, 1, []byte(network))
	attachment = appendBytes(attachment, 2, []byte(os.Getenv("CNI_CONTAINERID")))
	attachment = appendBytes(attachment, 3, []byte(os.Getenv("CNI_IFNAME")))
	request := appendBytes(nil, 1, call)
	request = appendBytes(request, 2, attachment)
	request = appendBytes(request, 3, []byte(os.Getenv("CNI_NETNS")))
	return appendBytes(request, 4, []byte(os.Getenv("CNI_ARGS")))
}

func appendBytes(to []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), value)
}

// field is one of a message: bytes, or a number.
type field struct {
	number protowire.Number
	bytes  []byte
	varint uint64
}

func fieldsOf(message []byte) ([]field, error) {
	var fields []field
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return nil, protowire.ParseError(length)
		}
		message = message[length:]
		one := field{number: number}
		switch kind {
		case protowire.BytesType:
			one.bytes, length = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			one.varint, length = protowire.ConsumeVarint(message)
		default:
			return nil, fmt.Errorf("field %d is neither bytes nor a number", number)
		}
		if length < 0 {
			return nil, protowire.ParseError(length)
		}
		message = message[length:]
		fields = append(fields, one)
	}
	return fields, nil
}

// lists are the fields of AddReply, and the names of the fields in their messages.
var lists = map[protowire.Number]struct {
	name    string
	texts   map[protowire.Number]string
	numbers map[protowire.Number]string
}{
	1: {"interfaces", map[protowire.Number]string{1: "name", 2: "mac", 3: "sandbox"}, map[protowire.Number]string{4: "mtu"}},
	2: {"ips", map[protowire.Number]string{1: "address", 2: "gateway"}, map[protowire.Number]string{3: "interface"}},
	3: {"routes", map[protowire.Number]string{1: "dst", 2: "gw"}, nil},
}

func readReply(reply []byte) (map[string]any, error) {
	parts, err := fieldsOf(reply)
	if err != nil {
		return nil, err
	}
	result := map[string]any{}
	for _, part := range parts {
		list, known := lists[part.number]
		if !known {
			continue
		}
		fields, err := fieldsOf(part.bytes)
		if err != nil {
			return nil, err
		}
		item := map[string]any{}
		for _, one := range fields {
			if name, ok := list.texts[one.number]; ok {
				item[name] = string(one.bytes)
			} else if name, ok := list.numbers[one.number]; ok {
				item[name] = one.varint
			}
		}
		items, _ := result[list.name].([]any)
		result[list.name] = append(items, item)
	}
	return result, nil
}
