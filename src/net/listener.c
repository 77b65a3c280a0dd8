// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include "base/number.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
    HOST_MAX = 256,
    SEND_BUFFER_BYTES = 64 * 1024, // bounds what a reader that takes nothing costs
    NOTSENT_LOWAT_BYTES = 16 * 1024,
    SOCKET_MODE = 0660,
};

static const char UNIX_PREFIX[] = "unix:";

/* Options that accepted sockets inherit. A refusal costs only the tuning. */
static void tune(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES},
        {IPPROTO_TCP, TCP_KEEPIDLE, 30},
        {IPPROTO_TCP, TCP_KEEPINTVL, 10},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 15000},
    };

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
}

void listener_tune_accepted(int fd)
{
    static const int bytes = SEND_BUFFER_BYTES;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 =
            (const struct sockaddr_in6 *)(const void *)address;

        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

/* "[::1]:80" and "127.0.0.1:80" into their parts. */
static int split(const char *address, char *host, size_t room, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t len;

    if (!colon || colon == address || colon[1] == '\0')
        return -EINVAL;
    len = (size_t)(colon - address);
    if (address[0] == '[') {
        if (len < 3 || address[len - 1] != ']')
            return -EINVAL;
        address++;
        len -= 2;
    }
    if (len >= room)
        return -EINVAL;
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int write_url(int fd, char *url, size_t room)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    bool v6;

    if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
        return neg_errno();
    if (getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -ENOMEM;
    v6 = bound.ss_family == AF_INET6;
    (void)snprintf(url, room, "http://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
                   port);
    return 0;
}

/*
 * A first one of several is bound like any other, so that an address which somebody else
 * listens on is refused, and shared from then on; a twin is shared from the beginning.
 */
enum sharing { ALONE, SHARED, TWIN };

static int share(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? neg_errno()
                                                                         : 0;
}

static int open_one(const struct sockaddr *address, socklen_t len, enum sharing sharing)
{
    OWNED(close_fd) int fd = -1;
    int on = 1, r = 0, ret;

    fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return neg_errno();
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    tune(fd);
    if (sharing == TWIN)
        r = share(fd);
    if (r == 0 && bind(fd, address, len) < 0)
        r = neg_errno();
    if (r == 0 && sharing == SHARED)
        r = share(fd);
    if (r == 0 && listen(fd, LISTENER_BACKLOG) < 0)
        r = neg_errno();
    if (r < 0)
        return r;
    ret = fd;
    fd = -1;
    return ret;
}

int listener_twin(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address), size = sizeof(int);
    int shared = 0, twin;

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return neg_errno();
    (void)getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, &size);
    if (address.ss_family != AF_UNIX && shared)
        return open_one((struct sockaddr *)&address, len, TWIN);
    twin = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return twin < 0 ? neg_errno() : twin;
}

static int refuse_public(const char *address, struct complaint *complaint)
{
    return complain(complaint, -EACCES,
                    "will not listen on %s: anyone who reaches that address could read "
                    "it; use a loopback address, or give --token-file with --tls-cert "
                    "and --tls-key, or add --allow-public",
                    address);
}

/* A socket on what the name stands for, and its URL. */
static int open_resolved(const struct addrinfo *info, const char *address,
                         const struct listener_options *options, char *ret_url,
                         size_t url_room, struct complaint *complaint)
{
    int fd, r;

    if (!is_loopback(info->ai_addr) && !options->allow_public)
        return refuse_public(address, complaint);
    fd = open_one(info->ai_addr, info->ai_addrlen, options->several ? SHARED : ALONE);
    if (fd < 0)
        return complain(complaint, fd, "cannot listen on %s: %s", address, strerror(-fd));
    r = write_url(fd, ret_url, url_room);
    if (r < 0) {
        (void)close(fd);
        return complain(complaint, r, "cannot tell what %s is bound to: %s", address,
                        strerror(-r));
    }
    return fd;
}

static int open_tcp(const char *address, const struct listener_options *options,
                    char *ret_url, size_t url_room, struct complaint *complaint)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *info = NULL;
    char host[HOST_MAX];
    const char *port;
    uint64_t number;
    int r;

    r = split(address, host, sizeof(host), &port);
    if (r < 0)
        return complain(complaint, r, "cannot listen on '%s': expected HOST:PORT",
                        address);
    if (number_read_u64(span_of(port), UINT16_MAX, &number) < 0)
        return complain(complaint, -EINVAL,
                        "cannot listen on '%s': no port from 0 to 65535", address);
    r = getaddrinfo(host, port, &hints, &info);
    if (r != 0)
        return complain(complaint, -EINVAL, "cannot listen on %s: %s", address,
                        gai_strerror(r));
    r = open_resolved(info, address, options, ret_url, url_room, complaint);
    freeaddrinfo(info);
    return r;
}

/* A socket file whose server is gone refuses connections; only then may it be removed. */
static int remove_dead_socket(const struct sockaddr_un *name)
{
    OWNED(close_fd) int fd = -1;
    struct stat st;

    if (lstat(name->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : neg_errno();
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return neg_errno();
    if (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 || errno == EAGAIN)
        return -EADDRINUSE; // EAGAIN: it lives, with a full backlog
    if (errno != ECONNREFUSED)
        return neg_errno();
    return unlink(name->sun_path) < 0 ? neg_errno() : 0;
}

static int open_unix_at(const struct sockaddr_un *name, mode_t mode)
{
    OWNED(close_fd) int fd = -1;
    mode_t mask;
    int r, ret;

    r = remove_dead_socket(name);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return neg_errno();
    mask = umask(~mode & 0777);
    r = bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0 ? neg_errno() : 0;
    (void)umask(mask);
    if (r < 0)
        return r;
    if (listen(fd, LISTENER_BACKLOG) < 0)
        return neg_errno();
    ret = fd;
    fd = -1;
    return ret;
}

static int open_unix(const char *address, uint32_t mode, char *ret_url, size_t url_room,
                     struct complaint *complaint)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = address + sizeof(UNIX_PREFIX) - 1;
    size_t len = strlen(path);
    int r;

    if (len == 0 || len >= sizeof(name.sun_path))
        return complain(complaint, -ENAMETOOLONG,
                        "cannot listen on %s: the path must be 1 to %zu bytes long",
                        address, sizeof(name.sun_path) - 1);
    memcpy(name.sun_path, path, len + 1);
    r = open_unix_at(&name, mode ? mode : SOCKET_MODE);
    if (r < 0)
        return complain(complaint, r, "cannot listen on %s: %s", address, strerror(-r));
    (void)snprintf(ret_url, url_room, "%s", address);
    return r;
}

int listener_open(const char *address, const struct listener_options *options,
                  char *ret_url, size_t url_room, struct complaint *complaint)
{
    if (strncmp(address, UNIX_PREFIX, sizeof(UNIX_PREFIX) - 1) == 0)
        return open_unix(address, options->socket_mode, ret_url, url_room, complaint);
    return open_tcp(address, options, ret_url, url_room, complaint);
}

/* "unix:PATH", or "unix:@NAME" for one without a file. */
static void write_unix_url(const struct sockaddr_un *name, socklen_t len, char *url,
                           size_t room)
{
    size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t n = len > before ? len - before : 0;
    bool abstract = n > 0 && name->sun_path[0] == '\0';
    char shown[sizeof(name->sun_path) + 1];

    if (!abstract)
        n = strnlen(name->sun_path, n);
    (void)text_clean(shown, sizeof(shown),
                     (struct span){name->sun_path + abstract, n - abstract});
    (void)snprintf(url, room, "%s%s%s", UNIX_PREFIX, abstract ? "@" : "", shown);
}

int listener_adopt(int fd, const struct listener_options *options, char *ret_url,
                   size_t url_room, struct complaint *complaint)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } bound;
    socklen_t len = sizeof(bound);
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || getsockname(fd, &bound.any, &len) < 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return complain(complaint, neg_errno(), "cannot listen on descriptor %d: %s", fd,
                        strerror(errno));
    switch (bound.any.sa_family) {
    case AF_UNIX:
        write_unix_url(&bound.un, len, ret_url, url_room);
        break;
    case AF_INET:
    case AF_INET6:
        if (write_url(fd, ret_url, url_room) < 0)
            return complain(complaint, -ENOMEM,
                            "cannot tell what descriptor %d is bound to", fd);
        if (!is_loopback(&bound.any) && !options->allow_public)
            return refuse_public(ret_url, complaint);
        break;
    default:
        return complain(complaint, -EAFNOSUPPORT,
                        "cannot listen on descriptor %d: a socket neither of TCP nor "
                        "of Unix",
                        fd);
    }
    tune(fd);
    return 0;
}
