#!/usr/bin/env ruby
# Sluice RPC with nothing but MessagePack and a socket: a whole answer, then a stream.
#
#     apt-get install ruby ruby-msgpack      (or: gem install msgpack)
#     ./build/sluice serve                   (in another terminal)
#     examples/rpc_client.rb [PROMPT] [HOST:PORT]
#
# docs/RPC.md has the protocol.
require "msgpack"
require "socket"

REQUEST, RESPONSE, ITEM, END_, PING, PONG, HELLO, WELCOME, FATAL = 0, 1, 3, 4, 7, 8, 10, 11, 12
PREFACE = "\xC1SRP\x01\x00\x00\x00".b

class Connection
  def initialize(address)
    host, _, port = address.rpartition(":")
    @socket = TCPSocket.new(host, port.to_i)
    @socket.write(PREFACE)
    @socket.read(PREFACE.bytesize)
    say(HELLO, { "client" => "example/1", "stream_credit" => 1000 }) # for one short answer; CREDIT gives more
    receive(WELCOME)
  end

  def say(*message)
    packed = message.to_msgpack
    @socket.write([packed.bytesize].pack("N") + packed)
  end

  # The next message of one of the kinds.
  def receive(*kinds)
    loop do
      prefix = @socket.read(4) or abort("The server has closed the connection.")
      message = MessagePack.unpack(@socket.read(prefix.unpack1("N")))
      kind, first, second = message
      abort("#{first}: #{second}") if kind == FATAL
      say(PONG, first) if kind == PING
      abort(second["message"]) if [RESPONSE, END_].include?(kind) && second
      return message if kinds.include?(kind)
    end
  end
end

prompt = ARGV[0] || "In the beginning"
connection = Connection.new(ARGV[1] || "127.0.0.1:8001")

ask = { "prompt" => prompt, "max_tokens" => 32, "seed" => 1 }
connection.say(REQUEST, 1, "completions.create", ask)
puts "whole: " + connection.receive(RESPONSE)[3]["choices"][0]["text"]

connection.say(REQUEST, 2, "completions.create", ask.merge("stream" => true))
print "stream: "
until (message = connection.receive(ITEM, END_))[0] == END_
  print message[3]["t"]
  $stdout.flush
end
puts "\nusage: #{message[3]["usage"]}"
