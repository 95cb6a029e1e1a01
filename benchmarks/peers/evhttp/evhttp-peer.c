// The ceiling of dockrion's design: evhttp doing the same writes with no agent behind it.
//
//   evhttp-peer PORT
//
// POST /invoke         a reply of the same size as that of the `echo` agent
// POST /invoke/stream  a head, `started`, tokens and `complete`, each event a chunk of its own, of the same bytes as
//                      dockrion's. Of the `scripted` agent's payload it knows "tokens", "interval_ms", "stamp"
//                      and "hang"; the intervals are libevent's timers.
// POST /runs           a reply of the same size, and no run
//
// It looks for these words in the body as they stand and parses no JSON.
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID "53014865-635e-4778-b85d-19226126c3cb"
#define TIME "2026-01-01T00:00:00.000Z"
#define COMMON(type) "event: " type "\ndata: {\"request_id\":\"" ID "\",\"type\":\"" type "\",\"sequence\":%d,\"timestamp\":\"" TIME "\","

static struct event_base *base;

// One stream that is not finished within its request's callback.
struct stream {
  struct evhttp_request *request;
  struct event *timer;
  int sent, tokens, stamp, hang;
};

static void send_chunk(struct evhttp_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void send_chunk(struct evhttp_request *request, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  int count = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  struct evbuffer *chunk = evbuffer_new();
  evbuffer_add(chunk, text, count);
  evhttp_send_reply_chunk(request, chunk);
  evbuffer_free(chunk);
}

// The 20 tokens without pauses are made once: formatting is no part of the ceiling.
#define READY_TOKENS 64
static char ready_token[READY_TOKENS][256];
static int ready_token_bytes[READY_TOKENS];
static char ready_started[256];
static int ready_started_bytes;

static void make_ready(void) {
  ready_started_bytes = snprintf(
      ready_started, sizeof ready_started,
      COMMON("started") "\"agent_name\":\"bench\",\"framework\":\"swift\"}\n\n", 1);
  for (int index = 0; index < READY_TOKENS; index++)
    ready_token_bytes[index] = snprintf(
        ready_token[index], sizeof ready_token[index], COMMON("token") "\"content\":\"tok%d \"}\n\n", index + 2, index);
}

static void send_bytes(struct evhttp_request *request, struct evbuffer *chunk, const char *bytes, int count) {
  evbuffer_add(chunk, bytes, count);
  evhttp_send_reply_chunk(request, chunk);
}

static void send_token(struct stream *stream) {
  int index = stream->sent++;
  if (stream->stamp) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    send_chunk(
        stream->request, COMMON("token") "\"content\":\"t=%lld \"}\n\n", index + 2,
        now.tv_sec * 1000000000LL + now.tv_nsec);
  } else {
    send_chunk(stream->request, COMMON("token") "\"content\":\"tok%d \"}\n\n", index + 2, index);
  }
}

static void send_complete(struct evhttp_request *request, int tokens) {
  send_chunk(
      request,
      COMMON("complete") "\"output\":{\"tokens\":%d},\"latency_seconds\":0.000196,"
      "\"metadata\":{\"agent\":\"bench\",\"framework\":\"swift\"}}\n\n",
      tokens + 2, tokens);
}

static void release(struct stream *stream) {
  if (stream->timer) event_free(stream->timer);
  free(stream);
}

static void closed(struct evhttp_connection *connection, void *argument) {
  (void)connection;
  struct stream *stream = argument;
  evhttp_send_reply_end(stream->request);
  release(stream);
}

static void finish(struct stream *stream) {
  send_complete(stream->request, stream->tokens);
  evhttp_connection_set_closecb(evhttp_request_get_connection(stream->request), NULL, NULL);
  evhttp_send_reply_end(stream->request);
  release(stream);
}

static void tick(evutil_socket_t descriptor, short what, void *argument) {
  (void)descriptor, (void)what;
  struct stream *stream = argument;
  send_token(stream);
  if (stream->sent < stream->tokens) return;
  if (!stream->hang) return finish(stream);
  event_free(stream->timer);
  stream->timer = NULL;
}

static double number(const char *body, const char *name, double absent) {
  const char *place = strstr(body, name);
  if (!place || !(place = strchr(place, ':'))) return absent;
  return atof(place + 1);
}

static int flag(const char *body, const char *name) {
  const char *place = strstr(body, name);
  if (!place || !(place = strchr(place, ':'))) return 0;
  while (*++place == ' ') {}
  return *place == 't';
}

static void read_body(struct evhttp_request *request, char *body, size_t size) {
  ssize_t count = evbuffer_copyout(evhttp_request_get_input_buffer(request), body, size - 1);
  body[count < 0 ? 0 : count] = 0;
}

static void stream(struct evhttp_request *request, void *unused) {
  (void)unused;
  char body[1024];
  read_body(request, body, sizeof body);
  int tokens = number(body, "\"tokens\"", 16);
  double interval = number(body, "\"interval_ms\"", 0);
  int stamp = flag(body, "\"stamp\""), hang = flag(body, "\"hang\"");
  struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", "text/event-stream");
  evhttp_add_header(headers, "Cache-Control", "no-cache, no-transform");
  evhttp_add_header(headers, "X-Accel-Buffering", "no");
  evhttp_add_header(headers, "X-Request-Id", ID);
  evhttp_send_reply_start(request, 200, "OK");
  struct evbuffer *chunk = evbuffer_new();
  send_bytes(request, chunk, ready_started, ready_started_bytes);
  if (interval == 0 && !stamp && !hang && tokens <= READY_TOKENS) {
    for (int index = 0; index < tokens; index++)
      send_bytes(request, chunk, ready_token[index], ready_token_bytes[index]);
    evbuffer_free(chunk);
    send_complete(request, tokens);
    return evhttp_send_reply_end(request);
  }
  evbuffer_free(chunk);
  struct stream *stream = calloc(1, sizeof *stream);
  *stream = (struct stream){.request = request, .tokens = tokens, .stamp = stamp, .hang = hang};
  evhttp_connection_set_closecb(evhttp_request_get_connection(request), closed, stream);
  if (interval == 0 || tokens < 2) {
    while (stream->sent < tokens) send_token(stream);
    if (!hang) finish(stream);
    return;
  }
  // The first token goes at once, as the scripted agent's does.
  send_token(stream);
  stream->timer = event_new(base, -1, EV_PERSIST, tick, stream);
  struct timeval time = {interval / 1000, (long)(interval * 1000) % 1000000};
  event_add(stream->timer, &time);
}

static void reply(struct evhttp_request *request, int status, const char *phrase, const char *text, size_t count) {
  evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
  struct evbuffer *body = evbuffer_new();
  evbuffer_add(body, text, count);
  evhttp_send_reply(request, status, phrase, body);
  evbuffer_free(body);
}

static void invoke(struct evhttp_request *request, void *unused) {
  (void)unused;
  static const char text[] =
      "{\"success\":true,\"output\":{\"text\":\"Hello, world!\"},"
      "\"metadata\":{\"agent\":\"bench\",\"framework\":\"swift\",\"latency_seconds\":0.000192}}";
  reply(request, 200, "OK", text, sizeof text - 1);
}

static void runs(struct evhttp_request *request, void *unused) {
  (void)unused;
  static const char text[] =
      "{\"run_id\":\"" ID "\",\"status\":\"accepted\",\"events_url\":\"/runs/" ID "/events\",\"created_at\":\"" TIME "\"}";
  evhttp_add_header(evhttp_request_get_output_headers(request), "Location", "/runs/" ID);
  reply(request, 202, "Accepted", text, sizeof text - 1);
}

int main(int count, char **arguments) {
  int port = count == 2 ? atoi(arguments[1]) : 0;
  if (port <= 0 || port > 65535) return fputs("usage: evhttp-peer PORT\n", stderr), 2;
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  make_ready();
  struct event_config *config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
  base = event_base_new_with_config(config);
  struct evhttp *http = evhttp_new(base);
  int one = 1;
  int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, 4096) != 0)
    return fprintf(stderr, "evhttp-peer: port %d: %s\n", port, strerror(errno)), 1;
  evhttp_accept_socket(http, descriptor);
  evhttp_set_cb(http, "/invoke", invoke, NULL);
  evhttp_set_cb(http, "/invoke/stream", stream, NULL);
  evhttp_set_cb(http, "/runs", runs, NULL);
  printf("listening on http://127.0.0.1:%d\n", port);
  fflush(stdout);
  event_base_dispatch(base);
  return 1;
}
