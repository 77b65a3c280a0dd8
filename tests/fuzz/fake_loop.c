// SPDX-License-Identifier: Apache-2.0
#include "fake_loop.h"

#include <assert.h>
#include <uv.h>

enum {
    HANDLES_MAX = FAKE_SOCKETS + 8,
    CALLS_MAX = 50000, // of callbacks in one turn: more of them is a loop that spins
};

/* A poll or a timer that is not yet closed. */
struct handle {
    void *handle; // NULL: free
    int fd;       // of a poll, else -1
    int events;   // polled for; 0: stopped
    uv_poll_cb on_poll;
    uv_timer_cb on_timer;
    uint64_t due_ms; // UINT64_MAX: stopped
    uv_close_cb on_close;
    bool closing;
};

uint64_t fake_now_ms;

static struct handle handles[HANDLES_MAX];
static struct fake_socket *current;
static int current_events;

static struct handle *handle_of(const void *handle)
{
    for (size_t i = 0; i < HANDLES_MAX; i++)
        if (handles[i].handle == handle)
            return &handles[i];
    abort(); // it was never made, or is closed
}

static struct handle *new_handle(void *handle, int fd)
{
    struct handle *h = handle_of(NULL);

    *h = (struct handle){.handle = handle, .fd = fd, .due_ms = UINT64_MAX};
    return h;
}

WRAP(int, uv_poll_init, uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    (void)loop;
    assert(fake_is_ours(fd));
    (void)new_handle(poll, fd);
    return 0;
}

WRAP(int, uv_poll_start, uv_poll_t *poll, int events, uv_poll_cb on_poll)
{
    struct handle *h = handle_of(poll);

    assert(!h->closing && h->fd >= 0 && events);
    h->events = events;
    h->on_poll = on_poll;
    return 0;
}

WRAP(int, uv_poll_stop, uv_poll_t *poll)
{
    handle_of(poll)->events = 0;
    return 0;
}

WRAP(int, uv_timer_init, uv_loop_t *loop, uv_timer_t *timer)
{
    (void)loop;
    (void)new_handle(timer, -1);
    return 0;
}

WRAP(int, uv_timer_start, uv_timer_t *timer, uv_timer_cb on_timer, uint64_t ms,
     uint64_t repeat)
{
    struct handle *h = handle_of(timer);

    assert(!h->closing && h->fd < 0 && repeat == 0);
    h->on_timer = on_timer;
    h->due_ms = fake_now_ms + ms;
    return 0;
}

WRAP(int, uv_timer_stop, uv_timer_t *timer)
{
    handle_of(timer)->due_ms = UINT64_MAX;
    return 0;
}

WRAP(uint64_t, uv_timer_get_due_in, const uv_timer_t *timer)
{
    uint64_t due_ms = handle_of(timer)->due_ms;

    return due_ms <= fake_now_ms ? 0 : due_ms - fake_now_ms;
}

WRAP(int, uv_is_active, const uv_handle_t *handle)
{
    const struct handle *h = handle_of(handle);

    return h->events || h->due_ms != UINT64_MAX;
}

WRAP(int, uv_is_closing, const uv_handle_t *handle)
{
    return handle_of(handle)->closing;
}

WRAP(void, uv_close, uv_handle_t *handle, uv_close_cb on_close)
{
    struct handle *h = handle_of(handle);

    assert(!h->closing);
    h->events = 0;
    h->due_ms = UINT64_MAX;
    h->closing = true;
    h->on_close = on_close;
}

WRAP(uint64_t, uv_now, const uv_loop_t *loop)
{
    (void)loop;
    return fake_now_ms;
}

static void call_poll(struct handle *h, int status, int events)
{
    current = fake_socket_of(h->fd);
    current_events = h->events;
    h->on_poll(h->handle, status, events);
    current = NULL;
}

/* Call what is ready and what is due, each once. False: nothing was. */
static bool call_ready(void)
{
    bool called = false;

    for (size_t i = 0; i < HANDLES_MAX; i++) {
        struct handle *h = &handles[i];
        int events = h->events ? h->events & fake_ready_events(h->fd) : 0;

        if (events)
            call_poll(h, 0, events);
        else if (h->due_ms <= fake_now_ms) {
            h->due_ms = UINT64_MAX;
            h->on_timer(h->handle);
        } else
            continue;
        called = true;
    }
    return called;
}

static void finish_closing(void)
{
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        struct handle h = handles[i];

        if (!h.closing)
            continue;
        handles[i] = (struct handle){.fd = -1, .due_ms = UINT64_MAX};
        if (h.on_close)
            h.on_close(h.handle);
    }
}

void fake_turn(void)
{
    unsigned calls = 0;

    do {
        finish_closing();
        assert(calls++ < CALLS_MAX);
    } while (call_ready());
    finish_closing();
}

void fake_pass(uint64_t ms)
{
    uint64_t until_ms = fake_now_ms + ms;

    for (;;) {
        uint64_t due_ms = UINT64_MAX;

        for (size_t i = 0; i < HANDLES_MAX; i++)
            due_ms = MIN(due_ms, handles[i].due_ms);
        if (due_ms > until_ms)
            break;
        fake_now_ms = MAX(fake_now_ms, due_ms);
        fake_turn();
    }
    fake_now_ms = until_ms;
}

void fake_disturb(struct fake_socket *socket, int status)
{
    int fd = fake_descriptor_of(socket);

    for (size_t i = 0; i < HANDLES_MAX; i++) {
        int events = handles[i].events & UV_READABLE;

        if (!handles[i].handle || handles[i].fd != fd || !events)
            continue;
        call_poll(&handles[i], status, status < 0 ? 0 : events);
        break;
    }
    finish_closing();
}

struct fake_socket *fake_current(void)
{
    return current;
}

bool fake_loop_may_read(const struct fake_socket *socket)
{
    return socket == current && current_events & UV_READABLE;
}

bool fake_loop_polls(int fd)
{
    for (size_t i = 0; i < HANDLES_MAX; i++)
        if (handles[i].handle && handles[i].fd == fd && handles[i].events)
            return true;
    return false;
}

void fake_loop_reset(void)
{
    for (size_t i = 0; i < HANDLES_MAX; i++)
        handles[i] = (struct handle){.fd = -1, .due_ms = UINT64_MAX};
    fake_now_ms = 1000;
}

bool fake_loop_is_empty(void)
{
    for (size_t i = 0; i < HANDLES_MAX; i++)
        if (handles[i].handle)
            return false;
    return true;
}
