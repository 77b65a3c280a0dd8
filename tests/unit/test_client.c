// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "client/backoff.h"
#include "client/error_body.h"
#include "client/event_queue.h"
#include "client/scope.h"
#include "client/target.h"
#include "client/token.h"
#include "vramscope.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

// clang-format off
/* `random` 0 takes a quarter off, 25 nothing, 50 puts one on. */
static const struct {
    const char *row;
    unsigned failures;
    int base_ms, asked_ms;
    uint32_t random;
    int wait_ms;
} waits[] = {
    {"first", 0, -1, -1, 25, 500},
    {"never below the floor", 0, -1, -1, 0, 500},
    {"a quarter more", 0, -1, -1, 50, 625},
    {"spread comes round", 0, -1, -1, 51 + 50, 625},
    {"second", 1, -1, -1, 25, 1000},
    {"a quarter less", 1, -1, -1, 0, 750},
    {"third", 2, -1, -1, 25, 2000},
    {"largest", 6, -1, -1, 25, 30000},
    {"largest, spread", 60, -1, -1, 50, 37500},
    {"for ever", UINT32_MAX, -1, -1, 25, 30000},
    {"the server's base", 0, 2000, -1, 25, 2000},
    {"the server's base, second", 1, 2000, -1, 25, 4000},
    {"a base of nothing", 0, 0, -1, 25, 500},
    {"the longest base", 0, 60000, -1, 25, 60000},
    {"a longer base", 9, 3600000, -1, 25, 60000},
    {"told when", 0, -1, 7000, 25, 7000},
    {"told an hour", 0, -1, 3600000, 25, 60000},
    {"told less than is due", 3, -1, 1000, 25, 4000},
};

static const struct {
    const char *row;
    const char *url;
    int r;
    const char *origin, *unix_path;
} urls[] = {
    {"address", "http://127.0.0.1:6767", 0, "http://127.0.0.1:6767", NULL},
    {"a slash", "http://127.0.0.1:6767/", 0, "http://127.0.0.1:6767", NULL},
    {"name", "https://gpu1.example:8443", 0, "https://gpu1.example:8443", NULL},
    {"IPv6", "http://[::1]:6767", 0, "http://[::1]:6767", NULL},
    {"port of the scheme", "http://h", 0, "http://h", NULL},
    {"capitals", "HTTP://h:1", 0, "http://h:1", NULL},
    {"socket", "unix:/run/v.sock", 0, "http://localhost", "/run/v.sock"},
    {"socket nearby", "unix:v.sock", 0, "http://localhost", "v.sock"},
    {"empty", "", -EINVAL, NULL, NULL},
    {"no scheme", "127.0.0.1:6767", -EINVAL, NULL, NULL},
    {"no host", "http://", -EINVAL, NULL, NULL},
    {"no socket", "unix:", -EINVAL, NULL, NULL},
    {"too long a socket", "unix:/0123456789012345678901234567890123456789012345678901234567890"
     "0123456789012345678901234567890123456789012345", -EINVAL, NULL, NULL},
    {"another scheme", "ftp://h:1", -EINVAL, NULL, NULL},
    {"a file", "file:///etc/passwd", -EINVAL, NULL, NULL},
    {"a path", "http://h:1/vram", -EINVAL, NULL, NULL},
    {"a query", "http://h:1/?a", -EINVAL, NULL, NULL},
    {"a fragment", "http://h:1#a", -EINVAL, NULL, NULL},
    {"a user", "http://me@h:1", -EINVAL, NULL, NULL},
    {"a user and a word", "http://me:word@h:1", -EINVAL, NULL, NULL},
    {"port too large", "http://h:65536", -EINVAL, NULL, NULL},
    {"port that is none", "http://h:x", -EINVAL, NULL, NULL},
    {"a space", "http://h :1", -EINVAL, NULL, NULL},
    {"a line end", "http://h:1\r\nX: y", -EINVAL, NULL, NULL},
};

static const struct {
    const char *row;
    const char *content;
    size_t len; // 0: as long as the text
    int r;
    const char *token;
} tokens[] = {
    {"plain", "secret", 0, 0, "secret"},
    {"a line", "secret\n", 0, 0, "secret"},
    {"a line of DOS", "secret\r\n", 0, 0, "secret"},
    {"two line ends", "secret\n\n", 0, -EINVAL, NULL},
    {"two lines", "a\nb\n", 0, -EINVAL, NULL},
    {"a space", "a b\n", 0, -EINVAL, NULL},
    {"empty", "", 0, -EINVAL, NULL},
    {"a line end alone", "\n", 0, -EINVAL, NULL},
    {"NUL", "a\0b", 3, -EINVAL, NULL},
    {"not ASCII", "\xc3\xa9", 0, -EINVAL, NULL},
    {"DEL", "\x7f", 0, -EINVAL, NULL},
};

static const struct {
    const char *row;
    const char *body;
    int r;
    const char *code, *message, *remedy;
} errors[] = {
    {"whole", "{\"error\":{\"code\":\"a\",\"message\":\"b\",\"remedy\":\"c\"}}", 0, "a", "b", "c"},
    {"no remedy", "{\"error\":{\"code\":\"a\",\"message\":\"b\"}}\n", 0, "a", "b", ""},
    {"controls", "{\"error\":{\"code\":\"a\\u001b\",\"message\":\"\\u009b\",\"remedy\":1}}", 0,
     "a\xef\xbf\xbd", "\xef\xbf\xbd", ""},
    {"no code", "{\"error\":{\"message\":\"b\"}}", -EBADMSG, "", "", ""},
    {"no message", "{\"error\":{\"code\":\"a\",\"message\":null}}", -EBADMSG, "", "", ""},
    {"a text", "{\"error\":\"no\"}", -EBADMSG, "", "", ""},
    {"an array", "[]", -EBADMSG, "", "", ""},
    {"empty", "", -EBADMSG, "", "", ""},
    {"HTML", "<p>", -EBADMSG, "", "", ""},
    {"deep", "{\"error\":{\"code\":[[[[[[1]]]]]]}}", -EBADMSG, "", "", ""},
};
// clang-format on

static void test_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        struct backoff backoff = {waits[i].failures, waits[i].base_ms};
        int ms = backoff_fail(&backoff, waits[i].asked_ms, waits[i].random);

        if (ms != waits[i].wait_ms || backoff.failures < MAX(waits[i].failures, 1U))
            fail_msg("[%s] is %d ms, %u failures", waits[i].row, ms, backoff.failures);
    }
    assert_int_equal(backoff_asked(1000, 0), 1000);
    assert_int_equal(backoff_asked(1000, 25), 1250);
    assert_int_equal(backoff_asked(0, 0), 500);
    assert_int_equal(backoff_asked(3600000, 0), 60000);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct target target = {0};
        int r = target_parse(urls[i].url, &target);

        if (r != urls[i].r || !same(target.origin, urls[i].origin) ||
            !same(target.unix_path, urls[i].unix_path))
            fail_msg("[%s] is %d: %s", urls[i].row, r, target.origin);
        target_done(&target);
    }
}

static char folder[] = "/tmp/test_client-XXXXXX";
static char path[sizeof(folder) + 16];

static void write_file(const char *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    (void)close(fd);
}

static void test_token_files(void **state)
{
    char longest[TOKEN_MAX + 3];
    struct complaint why = {""};
    char *token = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        int r;

        write_file(tokens[i].content,
                   tokens[i].len ? tokens[i].len : strlen(tokens[i].content));
        token = NULL;
        r = token_read(path, &token, &why);
        if (r != tokens[i].r || !same(token, tokens[i].token))
            fail_msg("[%s] is %d", tokens[i].row, r);
        if (r < 0 && (!strstr(why.text, path) || strstr(why.text, "secret")))
            fail_msg("[%s] %s", tokens[i].row, why.text);
        token_free(token);
    }
    memset(longest, 'x', sizeof(longest));
    memcpy(longest + TOKEN_MAX, "\r\n", 2);
    write_file(longest, TOKEN_MAX + 2);
    assert_int_equal(token_read(path, &token, &why), 0);
    assert_int_equal(strlen(token), TOKEN_MAX);
    token_free(token);
    memset(longest, 'x', sizeof(longest));
    write_file(longest, TOKEN_MAX + 1);
    assert_int_equal(token_read(path, &token, &why), -EINVAL);
    write_file(longest, sizeof(longest));
    assert_int_equal(token_read(path, &token, &why), -EINVAL);
    (void)unlink(path);
    assert_int_equal(token_read(path, &token, &why), -EINVAL);
    assert_int_equal(token_read(folder, &token, &why), -EINVAL);
}

static void test_error_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct error_body error = {0};
        int r = error_body_read(span_of(errors[i].body), &error);

        if (r != errors[i].r || !same(error.code, errors[i].code) ||
            !same(error.message, errors[i].message) ||
            !same(error.remedy, errors[i].remedy))
            fail_msg("[%s] is %d: %s, %s, %s", errors[i].row, r, error.code,
                     error.message, error.remedy);
    }
}

static void test_queue(void **state)
{
    struct event_queue queue = {0};
    const struct vramscope_event event = {.type = VRAMSCOPE_OTHER, .skipped = 3};
    struct event_texts texts = {.name = span_of("n"), .data = {"a\0b", 3}};
    struct event_entry *entry;
    char *large;

    (void)state;
    for (int i = 0; i < EVENT_QUEUE_LENGTH; i++) {
        assert_false(event_queue_is_full(&queue));
        assert_int_equal(event_queue_add(&queue, &event, &texts), 0);
    }
    assert_true(event_queue_is_full(&queue));
    entry = event_queue_take(&queue);
    assert_false(event_queue_is_full(&queue));
    assert_string_equal(entry->event.name, "n");
    assert_memory_equal(entry->event.data, "a\0b", 4);
    assert_int_equal(entry->event.data_len, 3);
    assert_int_equal(entry->event.skipped, 3);
    assert_null(entry->event.reason);
    free(entry);
    event_queue_done(&queue);
    assert_int_equal(queue.length, 0);
    assert_int_equal(queue.bytes, 0);
    assert_null(event_queue_take(&queue));

    large = calloc(1, EVENT_QUEUE_BYTES);
    texts.data = (struct span){large, EVENT_QUEUE_BYTES};
    assert_int_equal(event_queue_add(&queue, &event, &texts), 0);
    assert_true(event_queue_is_full(&queue));
    event_queue_done(&queue);
    assert_false(event_queue_is_full(&queue));
    free(large);
}

/* ---- The public functions ---- */

enum { OUT_OF_RANGE = 100 * 60 * 60 * 1000 };

static char id_too_long[1026], id_that_grows[1024], node_too_long[258];

// clang-format off
static const struct {
    const char *row;
    struct vramscope_options options;
    int r;
} option_sets[] = {
    {"nothing", {.size = sizeof(struct vramscope_options)}, 0},
    {"no size", {.size = 0}, -EINVAL},
    {"an old program's", {.size = offsetof(struct vramscope_options, token)}, 0},
    {"an absurd size", {.size = SIZE_MAX}, -EINVAL},
    {"no such stream", {.stream = (enum vramscope_stream)2}, -EINVAL},
    {"token", {.token = "secret"}, 0},
    {"token with a line end", {.token = "secret\n"}, -EINVAL},
    {"empty token", {.token = ""}, -EINVAL},
    {"two tokens", {.token = "secret", .token_file = "/secret"}, -EINVAL},
    {"id", {.last_event_id = "b-1"}, 0},
    {"id with a line end", {.last_event_id = "b\r\nX: y"}, -EINVAL},
    {"id too long", {.last_event_id = id_too_long}, -EINVAL},
    {"id too long as UTF-8", {.last_event_id = id_that_grows}, -EINVAL},
    {"event_max", {.event_max = 256}, 0},
    {"node", {.node = "gpu17@1a2b3c4d"}, 0},
    {"node without a name", {.node = ""}, -EINVAL},
    {"node too long", {.node = node_too_long}, -EINVAL},
    {"event_max too small", {.event_max = 255}, -EINVAL},
    {"event_max too large", {.event_max = (64 << 20) + 1}, -EINVAL},
    {"negative timeout", {.connect_timeout_ms = -1}, -EINVAL},
    {"timeout too long", {.connect_timeout_ms = OUT_OF_RANGE}, -EINVAL},
    {"negative silence", {.silence_timeout_ms = -1}, -EINVAL},
};
// clang-format on

static void test_options(void **state)
{
    struct vramscope *scope;
    struct {
        struct vramscope_options known;
        int later;
    } newer = {.known = {.size = sizeof(newer)}};

    (void)state;
    memset(id_too_long, 'x', sizeof(id_too_long) - 1);
    memset(node_too_long, 'x', sizeof(node_too_long) - 1);
    memset(id_that_grows, '\xff', sizeof(id_that_grows) - 1);
    for (size_t i = 0; i < ARRAY_LEN(option_sets); i++) {
        struct vramscope_options options = option_sets[i].options;
        int r;

        if (i > 3) // after those about the size
            options.size = sizeof(options);
        scope = NULL;
        r = vramscope_open("http://127.0.0.1:1", &options, &scope);
        if (r != option_sets[i].r)
            fail_msg("[%s] is %d", option_sets[i].row, r);
        vramscope_close(scope);
    }
    assert_int_equal(vramscope_open("http://h:1", &newer.known, &scope), 0);
    vramscope_close(scope);
    newer.later = 1;
    assert_int_equal(vramscope_open("http://h:1", &newer.known, &scope), -EINVAL);
    assert_int_equal(vramscope_open("h:1", NULL, &scope), -EINVAL);
    vramscope_close(NULL);
}

static const struct {
    const char *node, *path, *due;
} paths_of_nodes[] = {
    {NULL, "/vram", "/vram"},
    {"gpu17", "/vram", "/vram?node=gpu17"},
    {"gpu17", "/vram?a=1", "/vram?a=1&node=gpu17"},
    {"gpu_1-2.x~", "/v1/detail", "/v1/detail?node=gpu_1-2.x~"},
    {"gpu17@1a2b", "/vram", "/vram?node=gpu17%401a2b"},
    {"a b&c=d#e/\xc3\xa9", "/vram", "/vram?node=a%20b%26c%3Dd%23e%2F%C3%A9"},
};

static void test_node(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths_of_nodes); i++) {
        struct settings settings = {.node = (char *)(uintptr_t)paths_of_nodes[i].node};
        OWNED(free_str)
        char *found = settings_path(&settings, paths_of_nodes[i].path);

        assert_string_equal(found, paths_of_nodes[i].due);
    }
}

// clang-format off
static const struct {
    const char *row;
    const char *url, *path;
    int timeout_ms;
    int r;
    const char *why;
} gets[] = {
    {"nobody there", "unix:/nonexistent", "/vram", 1000, -ECONNREFUSED, "No such file"},
    {"no URL", "h:1", "/vram", 1000, -EINVAL, "not valid"},
    {"no path", "http://h:1", "", 1000, -EINVAL, "not valid"},
    {"a line end in the path", "http://h:1", "/a\r\nX: y", 1000, -EINVAL, "not valid"},
    {"no time", "http://h:1", "/vram", 0, -EINVAL, "not valid"},
    {"less than no time", "http://h:1", "/vram", -1, -EINVAL, "not valid"},
};
// clang-format on

static void test_get_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(gets); i++) {
        struct vramscope_answer *answer = NULL;
        char why[100] = "";
        int r = vramscope_get(gets[i].url, NULL, gets[i].path, gets[i].timeout_ms,
                              &answer, why, sizeof(why));

        if (r != gets[i].r || !strstr(why, gets[i].why) || answer)
            fail_msg("[%s] is %d: '%s'", gets[i].row, r, why);
        assert_int_equal(vramscope_get(gets[i].url, NULL, gets[i].path,
                                       gets[i].timeout_ms, &answer, NULL, 0),
                         gets[i].r);
    }
    vramscope_answer_free(NULL);
}

static bool is_readable(const struct vramscope *scope)
{
    struct pollfd fd = {.fd = vramscope_fd(scope), .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

/* The descriptor says when there is something to do, and only then. */
static void test_nobody_there(void **state)
{
    struct vramscope_options options = {.size = sizeof(options)};
    const struct vramscope_event *event;
    struct vramscope *scope;
    char url[sizeof(path) + 8];

    (void)state;
    (void)snprintf(url, sizeof(url), "unix:%s", path);
    assert_int_equal(vramscope_open(url, &options, &scope), 0);
    assert_null(vramscope_next(scope));
    assert_true(is_readable(scope));
    assert_int_equal(vramscope_timeout_ms(scope), 0);
    event = vramscope_wait(scope, 5000);
    assert_non_null(event);
    assert_int_equal(event->type, VRAMSCOPE_DISCONNECTED);
    assert_in_range(event->retry_ms, 500, 625);
    assert_null(vramscope_wait(scope, 0));
    assert_int_equal(errno, ETIMEDOUT);
    assert_false(is_readable(scope));
    assert_in_range(vramscope_timeout_ms(scope), 1, 625);
    assert_int_equal(vramscope_process(scope), 0);
    assert_null(vramscope_next(scope));
    event = vramscope_wait(scope, 5000);
    assert_non_null(event);
    assert_in_range(event->retry_ms, 750, 1250);
    vramscope_close(scope);

    options.once = true;
    assert_int_equal(vramscope_open(url, &options, &scope), 0);
    event = vramscope_wait(scope, 5000);
    assert_non_null(event);
    assert_true(event->retry_ms < 0);
    assert_null(vramscope_wait(scope, -1));
    assert_int_equal(errno, ENOTCONN);
    assert_int_equal(vramscope_timeout_ms(scope), -1);
    assert_false(is_readable(scope));
    vramscope_close(scope);
}

/* ---- Memory that fails ---- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

static unsigned fail_at; // the call that fails, counted down; 0: none does

static bool fails(void)
{
    return fail_at && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* Answer whoever has connected, without reading what was asked. */
static void answer(int listener)
{
    static const char stream[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        "id: 1\nretry: 1\ndata: {\"total_vram_bytes\":1,\"allocated_vram_bytes\":1,"
        "\"used_kv_cache_bytes\":0,\"prefix_cache_hit_rate\":0.0,\"models\":["
        "{\"model_id\":\"m\",\"port\":1,\"allocated_vram_bytes\":1,"
        "\"used_kv_cache_bytes\":0}]}\n\n: no data (x)\n\nevent: lag\n"
        "data: {\"skipped\":1}\n\n";
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (peer < 0)
        return;
    assert_int_equal(send(peer, stream, sizeof(stream) - 1, MSG_NOSIGNAL),
                     sizeof(stream) - 1);
    (void)close(peer);
}

/* Follow until a stream with a snapshot has ended; how many attempts that took. */
static unsigned follow(struct vramscope *scope, int listener, bool *ret_short)
{
    unsigned ended = 0;
    bool done = false, connected = false;

    for (int turn = 0; turn < 2000; turn++) {
        const struct vramscope_event *event;
        struct pollfd fd = {.fd = vramscope_fd(scope), .events = POLLIN};

        (void)poll(&fd, 1, 5);
        *ret_short |= vramscope_process(scope) == -ENOMEM;
        answer(listener);
        for (event = vramscope_next(scope); event; event = vramscope_next(scope)) {
            if (event->type == VRAMSCOPE_SNAPSHOT) {
                assert_int_equal(event->snapshot->n_models, 1);
                done = true;
            }
            // Whatever failed, no end of a stream goes unsaid.
            if (event->type == VRAMSCOPE_CONNECTED)
                assert_false(connected);
            if (event->type == VRAMSCOPE_CONNECTED ||
                event->type == VRAMSCOPE_DISCONNECTED)
                connected = event->type == VRAMSCOPE_CONNECTED;
            *ret_short |= event->reason && strstr(event->reason, "out of memory");
            ended += event->type == VRAMSCOPE_DISCONNECTED;
        }
        if (done && ended)
            return ended;
    }
    return 0;
}

/*
 * Whichever allocation of ours fails, from opening to the first snapshot: it is said, and
 * once there is memory again the stream is there. libcurl's own are not made to fail.
 */
static void test_memory_fails(void **state)
{
    struct vramscope_options options = {.size = sizeof(options), .token = "secret"};
    char url[sizeof(path) + 8];
    unsigned n = 1, opened = 0;
    int listener = listen_at(path);

    (void)state;
    (void)snprintf(url, sizeof(url), "unix:%s", path);
    for (bool met = true; met; n++) {
        struct vramscope *scope = NULL;
        bool is_short = false;
        unsigned attempts;
        int r;

        fail_at = n;
        r = vramscope_open(url, &options, &scope);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(fail_at, 0);
            continue;
        }
        opened++;
        attempts = follow(scope, listener, &is_short);
        met = fail_at == 0;
        fail_at = 0;
        vramscope_close(scope);
        if (attempts == 0 || is_short != met)
            fail_msg("allocation %u: %u attempts%s", n, attempts,
                     is_short ? "" : ", and nothing said");
    }
    assert_true(opened > 5);
    (void)close(listener);
    (void)unlink(path);
}

/*
 * More events than are held: nothing more is read, and nothing is due, until they are
 * taken; then the rest comes, though the server has long gone.
 */
static void test_full_queue(void **state)
{
    static const char head[] =
        "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    char url[sizeof(path) + 8], padding[500];
    int listener = listen_at(path), peer = -1, taken = 0, unread = 0;
    const struct vramscope_event *event;
    struct vramscope *scope;
    struct buf stream;

    (void)state;
    memset(padding, 'x', sizeof(padding));
    (void)snprintf(url, sizeof(url), "unix:%s", path);
    assert_int_equal(vramscope_open(url, NULL, &scope), 0);
    for (int i = 0; i < 100 && peer < 0; i++) {
        assert_int_equal(vramscope_process(scope), 0);
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    buf_init(&stream, 1 << 20);
    buf_add_str(&stream, head);
    for (int i = 0; i < 100; i++) {
        buf_add_str(&stream, "event: x\ndata: ");
        buf_add(&stream, padding, sizeof(padding));
        buf_add_str(&stream, "\n\n");
    }
    assert_int_equal(write(peer, stream.data, stream.len), stream.len);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    buf_done(&stream);

    for (int i = 0; i < 20; i++) { // libcurl's own timer for connecting runs out, too
        assert_int_equal(vramscope_process(scope), 0);
        (void)poll(NULL, 0, 20);
    }
    assert_false(is_readable(scope));
    assert_int_equal(vramscope_timeout_ms(scope), -1);
    assert_int_equal(ioctl(peer, SIOCOUTQ, &unread), 0);
    assert_true(unread > 0);

    event = vramscope_next(scope);
    assert_int_equal(event->type, VRAMSCOPE_CONNECTED);
    while (taken < 101 && (event = vramscope_wait(scope, 5000)) != NULL)
        taken++;
    assert_int_equal(taken, 101);
    assert_int_equal(event->type, VRAMSCOPE_DISCONNECTED);
    assert_string_equal(event->reason, "the stream ended");
    vramscope_close(scope);
    (void)close(peer);
    (void)close(listener);
    (void)unlink(path);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/here", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_token_files),  cmocka_unit_test(test_error_bodies),
        cmocka_unit_test(test_queue),        cmocka_unit_test(test_options),
        cmocka_unit_test(test_node),         cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_memory_fails), cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_get_fails),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
