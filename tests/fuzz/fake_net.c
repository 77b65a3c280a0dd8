// SPDX-License-Identifier: Apache-2.0
#include "fake_net.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <uv.h>

enum {
    LISTENER = 1 << 20, // descriptors from here on are ours; sockets follow the listener
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

struct fake_socket fake_sockets[FAKE_SOCKETS];
uint64_t fake_now_ms;
bool fake_descriptors_gone;
bool fake_descriptors_taken;

static struct handle handles[HANDLES_MAX];
static struct fake_socket *current;
static int current_events;
static bool listening;
static unsigned spare; // descriptors that came free while there were none

// What the linker gives the server instead of the functions named so.
// clang-format off
#define WRAP(type, name, ...)                                                             \
    type __real_##name(__VA_ARGS__);                                                      \
    type __wrap_##name(__VA_ARGS__);                                                      \
    type __wrap_##name(__VA_ARGS__)
// clang-format on

static bool is_ours(int fd)
{
    return fd >= LISTENER && fd <= LISTENER + FAKE_SOCKETS;
}

static struct fake_socket *socket_of(int fd)
{
    assert(fd > LISTENER && fd <= LISTENER + FAKE_SOCKETS);
    assert(fake_sockets[fd - LISTENER - 1].open);
    return &fake_sockets[fd - LISTENER - 1];
}

static int fails(int error)
{
    errno = error;
    return -1;
}

/* Sockets, as the server sees them. */

static struct fake_socket *first_waiting(void)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        if (fake_sockets[i].waiting)
            return &fake_sockets[i];
    return NULL;
}

WRAP(int, listener_open, const char *address, const void *options, char *ret_url,
     size_t url_room, void *complaint)
{
    (void)address, (void)options, (void)complaint;
    assert(url_room > 0 && !listening);
    ret_url[0] = '\0';
    listening = true;
    return LISTENER;
}

WRAP(int, accept4, int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct fake_socket *socket = first_waiting();

    if (!is_ours(fd))
        return __real_accept4(fd, address, len, flags);
    assert(fd == LISTENER && listening && flags & SOCK_CLOEXEC);
    if (fake_descriptors_gone && !spare)
        return fails(EMFILE);
    if (!socket)
        return fails(EAGAIN);
    spare -= fake_descriptors_gone;
    socket->waiting = false;
    if (socket->reset) {
        memset(socket, 0, offsetof(struct fake_socket, in));
        return fails(ECONNABORTED);
    }
    socket->open = true;
    socket->heard_ms = fake_now_ms;
    from.sin_addr.s_addr = htonl(0x7f000000U + socket->host);
    if (address) {
        assert(*len >= sizeof(from));
        memcpy(address, &from, sizeof(from));
        *len = sizeof(from);
    }
    return LISTENER + 1 + (int)(socket - fake_sockets);
}

static ssize_t take_input(int fd, void *bytes, size_t room)
{
    struct fake_socket *socket = socket_of(fd);
    int error = socket->recv_error;
    size_t n = MIN(room, socket->in_len);

    assert(socket == current && current_events & UV_READABLE && room > 0);
    socket->recv_error = 0;
    if (error || socket->reset)
        return fails(error ? error : ECONNRESET);
    if (n == 0)
        return socket->ended ? 0 : fails(EAGAIN);
    if (socket->short_read)
        n = MIN(n, socket->short_read);
    memcpy(bytes, socket->in, n);
    socket->in_len -= n;
    memmove(socket->in, socket->in + n, socket->in_len);
    return (ssize_t)n;
}

static ssize_t give_output(int fd, const struct iovec *parts, size_t n_parts)
{
    struct fake_socket *socket = socket_of(fd);
    size_t room = socket->slow ? socket->room : SIZE_MAX, given = 0;
    int error = socket->send_error;

    assert(!socket->shut);
    socket->send_error = 0;
    if (error || socket->reset)
        return fails(error ? error : EPIPE);
    if (room == 0)
        return fails(EAGAIN);
    for (size_t i = 0; i < n_parts && given < room; i++) {
        size_t n = MIN(parts[i].iov_len, room - given);

        fake_on_sent(socket, (struct span){parts[i].iov_base, n});
        given += n;
    }
    socket->heard_ms = fake_now_ms;
    if (socket->slow) {
        socket->room -= given;
        socket->untaken += given;
    }
    return (ssize_t)given;
}

WRAP(ssize_t, recv, int fd, void *bytes, size_t room, int flags)
{
    return is_ours(fd) ? take_input(fd, bytes, room)
                       : __real_recv(fd, bytes, room, flags);
}

/* What recv() becomes where _FORTIFY_SOURCE knows the size of the buffer. */
WRAP(ssize_t, __recv_chk, int fd, void *bytes, size_t room, size_t size, int flags)
{
    assert(room <= size);
    return __wrap_recv(fd, bytes, room, flags);
}

WRAP(ssize_t, send, int fd, const void *bytes, size_t len, int flags)
{
    struct iovec part = {(void *)(uintptr_t)bytes, len};

    if (!is_ours(fd))
        return __real_send(fd, bytes, len, flags);
    assert(flags & MSG_NOSIGNAL && flags & MSG_DONTWAIT);
    return give_output(fd, &part, 1);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
    if (!is_ours(fd))
        return __real_sendmsg(fd, message, flags);
    assert(flags & MSG_NOSIGNAL && flags & MSG_DONTWAIT);
    return give_output(fd, message->msg_iov, message->msg_iovlen);
}

WRAP(int, shutdown, int fd, int how)
{
    if (!is_ours(fd))
        return __real_shutdown(fd, how);
    assert(how == SHUT_WR);
    socket_of(fd)->shut = true;
    return socket_of(fd)->reset ? fails(ENOTCONN) : 0;
}

WRAP(int, setsockopt, int fd, int level, int name, const void *value, socklen_t len)
{
    if (!is_ours(fd))
        return __real_setsockopt(fd, level, name, value, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        socket_of(fd)->abortive = ((const struct linger *)value)->l_onoff != 0;
    return 0;
}

WRAP(int, ioctl, int fd, unsigned long request, void *value)
{
    if (!is_ours(fd))
        return __real_ioctl(fd, request, value);
    assert(request == SIOCOUTQ);
    *(int *)value = (int)socket_of(fd)->untaken;
    return 0;
}

WRAP(int, close, int fd)
{
    struct fake_socket *socket;

    spare += fake_descriptors_gone && !fake_descriptors_taken;
    if (!is_ours(fd))
        return __real_close(fd);
    for (size_t i = 0; i < HANDLES_MAX; i++) // libuv forbids to close what it polls
        assert(!handles[i].handle || handles[i].fd != fd || !handles[i].events);
    if (fd == LISTENER) {
        assert(listening);
        listening = false;
        return 0;
    }
    socket = socket_of(fd);
    fake_on_closed(socket);
    memset(socket, 0, offsetof(struct fake_socket, in));
    return 0;
}

static int open_with(const char *path, int flags, mode_t mode)
{
    if (fake_descriptors_gone && !spare)
        return fails(EMFILE);
    spare -= fake_descriptors_gone;
    return openat(AT_FDCWD, path, flags, mode);
}

/* The server opens nothing for writing, so there is no mode to be passed on. */
WRAP(int, open, const char *path, int flags, ...)
{
    return open_with(path, flags, 0600);
}

WRAP(int, open64, const char *path, int flags, ...)
{
    return open_with(path, flags, 0600);
}

/* The loop. */

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
    assert(is_ours(fd));
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

static int ready_events(int fd)
{
    const struct fake_socket *socket;
    int events = 0;

    if (fd == LISTENER)
        return first_waiting() ? UV_READABLE : 0;
    socket = socket_of(fd);
    if (socket->in_len || socket->ended || socket->reset)
        events |= UV_READABLE;
    if (!socket->slow || socket->room || socket->reset)
        events |= UV_WRITABLE;
    return events;
}

static void call_poll(struct handle *h, int status, int events)
{
    current = h->fd > LISTENER ? socket_of(h->fd) : NULL;
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
        int events = h->events ? h->events & ready_events(h->fd) : 0;

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
    int fd = LISTENER + 1 + (int)(socket - fake_sockets);

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

/* The script. */

void fake_reset(void)
{
    for (size_t i = 0; i < HANDLES_MAX; i++)
        handles[i] = (struct handle){.fd = -1, .due_ms = UINT64_MAX};
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        fake_sockets[i].in_len = 0, fake_sockets[i].connected = false;
    fake_now_ms = 1000;
    fake_descriptors_gone = fake_descriptors_taken = false;
    listening = false;
    spare = 0;
}

bool fake_all_released(void)
{
    for (size_t i = 0; i < HANDLES_MAX; i++)
        if (handles[i].handle)
            return false;
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        if (fake_sockets[i].open)
            return false;
    return !listening;
}

void fake_connect(struct fake_socket *socket, uint8_t host)
{
    if (socket->connected)
        return;
    socket->connected = socket->waiting = true;
    socket->host = host;
}

void fake_deliver(struct fake_socket *socket, struct span bytes)
{
    size_t n = MIN(bytes.len, sizeof(socket->in) - socket->in_len);

    if (!socket->connected || socket->ended || socket->reset)
        return;
    memcpy(socket->in + socket->in_len, bytes.at, n);
    socket->in_len += n;
}

void fake_take(struct fake_socket *socket, size_t n)
{
    if (!socket->slow || socket->reset)
        return;
    n = MIN(n, socket->untaken);
    socket->untaken -= n;
    socket->room += n;
    if (n)
        socket->heard_ms = fake_now_ms;
}
