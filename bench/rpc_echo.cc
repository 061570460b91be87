// Sends every byte back: what libuv and the kernel can do, as the ceiling of rpc_load.
//   rpc_echo
// Prints its port, and serves until its input ends.
#include <netinet/in.h>
#include <uv.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

struct Client {
  uv_tcp_t socket{};
  uv_write_t write{};
  std::string out;      ///< arrived, to be sent
  std::string sending;  ///< with libuv
  bool writing = false;
};

char read_buffer[64 << 10];

void flush(Client* client) {
  if (client->writing || client->out.empty()) return;
  auto* stream = reinterpret_cast<uv_stream_t*>(&client->socket);
  uv_buf_t buffer = uv_buf_init(client->out.data(), static_cast<unsigned>(client->out.size()));
  const int taken = uv_try_write(stream, &buffer, 1);
  if (taken > 0) client->out.erase(0, static_cast<std::size_t>(taken));
  if (client->out.empty()) return;
  client->sending.swap(client->out);
  client->writing = true;
  buffer = uv_buf_init(client->sending.data(), static_cast<unsigned>(client->sending.size()));
  uv_write(&client->write, stream, &buffer, 1, [](uv_write_t* write, int status) {
    auto* writer = static_cast<Client*>(write->handle->data);
    writer->writing = false;
    writer->sending.clear();
    if (status == 0) flush(writer);
  });
}

void accept(uv_stream_t* listener, int status) {
  if (status != 0) return;
  auto* client = new Client;
  uv_tcp_init(listener->loop, &client->socket);
  client->socket.data = client;
  auto* stream = reinterpret_cast<uv_stream_t*>(&client->socket);
  if (uv_accept(listener, stream) != 0) std::abort();
  uv_tcp_nodelay(&client->socket, 1);
  uv_read_start(
      stream,
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
      },
      [](uv_stream_t* from, ssize_t size, const uv_buf_t* buffer) {
        auto* reader = static_cast<Client*>(from->data);
        if (size > 0) {
          reader->out.append(buffer->base, static_cast<std::size_t>(size));
          flush(reader);
        } else if (size < 0) {
          uv_close(reinterpret_cast<uv_handle_t*>(from),
                   [](uv_handle_t* handle) { delete static_cast<Client*>(handle->data); });
        }
      });
}

}  // namespace

int main() {
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  sockaddr_in address{};
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
  if (uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 512, accept) != 0) return 1;
  int size = sizeof address;
  uv_tcp_getsockname(&listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("port=%u\n", ntohs(address.sin_port));
  std::fflush(stdout);
  uv_pipe_t input;
  uv_pipe_init(loop, &input, 0);
  uv_pipe_open(&input, 0);
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&input),
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
      },
      [](uv_stream_t* from, ssize_t got, const uv_buf_t*) {
        if (got < 0) uv_stop(from->loop);
      });
  uv_run(loop, UV_RUN_DEFAULT);
}
