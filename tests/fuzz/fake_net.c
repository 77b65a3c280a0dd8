// SPDX-License-Identifier: Apache-2.0
#include "fake_loop.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <uv.h>

enum { LISTENER = 1 << 20 }; // descriptors from here on are ours; sockets follow it

struct fake_socket fake_sockets[FAKE_SOCKETS];
bool fake_descriptors_gone;
bool fake_descriptors_taken;

static bool listening;
static unsigned spare; // descriptors that came free while there were none

bool fake_is_ours(int fd)
{
    return fd >= LISTENER && fd <= LISTENER + FAKE_SOCKETS;
}

int fake_descriptor_of(const struct fake_socket *socket)
{
    return LISTENER + 1 + (int)(socket - fake_sockets);
}

static struct fake_socket *socket_of(int fd)
{
    assert(fd > LISTENER && fd <= LISTENER + FAKE_SOCKETS);
    assert(fake_sockets[fd - LISTENER - 1].open);
    return &fake_sockets[fd - LISTENER - 1];
}

struct fake_socket *fake_socket_of(int fd)
{
    return fd == LISTENER ? NULL : socket_of(fd);
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

    if (!fake_is_ours(fd))
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
    return fake_descriptor_of(socket);
}

static ssize_t take_input(int fd, void *bytes, size_t room)
{
    struct fake_socket *socket = socket_of(fd);
    int error = socket->recv_error;
    size_t n = MIN(room, socket->in_len);

    assert(fake_loop_may_read(socket) && room > 0);
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
    return fake_is_ours(fd) ? take_input(fd, bytes, room)
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

    if (!fake_is_ours(fd))
        return __real_send(fd, bytes, len, flags);
    assert(flags & MSG_NOSIGNAL && flags & MSG_DONTWAIT);
    return give_output(fd, &part, 1);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
    if (!fake_is_ours(fd))
        return __real_sendmsg(fd, message, flags);
    assert(flags & MSG_NOSIGNAL && flags & MSG_DONTWAIT);
    return give_output(fd, message->msg_iov, message->msg_iovlen);
}

WRAP(int, shutdown, int fd, int how)
{
    if (!fake_is_ours(fd))
        return __real_shutdown(fd, how);
    assert(how == SHUT_WR);
    socket_of(fd)->shut = true;
    return socket_of(fd)->reset ? fails(ENOTCONN) : 0;
}

WRAP(int, setsockopt, int fd, int level, int name, const void *value, socklen_t len)
{
    if (!fake_is_ours(fd))
        return __real_setsockopt(fd, level, name, value, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        socket_of(fd)->abortive = ((const struct linger *)value)->l_onoff != 0;
    return 0;
}

WRAP(int, ioctl, int fd, unsigned long request, void *value)
{
    if (!fake_is_ours(fd))
        return __real_ioctl(fd, request, value);
    assert(request == SIOCOUTQ);
    *(int *)value = (int)socket_of(fd)->untaken;
    return 0;
}

WRAP(int, close, int fd)
{
    struct fake_socket *socket;

    spare += fake_descriptors_gone && !fake_descriptors_taken;
    if (!fake_is_ours(fd))
        return __real_close(fd);
    assert(!fake_loop_polls(fd)); // libuv forbids to close what it polls
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

int fake_ready_events(int fd)
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

/* The script. */

void fake_reset(void)
{
    fake_loop_reset();
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        fake_sockets[i].in_len = 0, fake_sockets[i].connected = false;
    fake_descriptors_gone = fake_descriptors_taken = false;
    listening = false;
    spare = 0;
}

bool fake_all_released(void)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++)
        if (fake_sockets[i].open)
            return false;
    return !listening && fake_loop_is_empty();
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
