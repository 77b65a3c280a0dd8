// SPDX-License-Identifier: Apache-2.0
#include "host/sock_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    ANSWER_ROOM = 8192, // the kernel fills its messages to fit into what is offered
    ANSWERS_MAX = 4096,
};

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

struct dump {
    int fd;
    uint32_t sequence;
    host_socket_fn *fn;
    void *ctx;
};

/* What may be otherwise at the next call. All else is an answer for good. */
static bool is_passing(int error)
{
    return error == -ENOMEM || error == -ENOBUFS || error == -EMFILE ||
           error == -ENFILE || error == -EINTR || error == -EAGAIN || error == -EBUSY;
}

void host_diag_close(struct host *host)
{
    if (host->diag_fd >= 0)
        (void)close(host->diag_fd); // only asked
    host->diag_fd = -1;
}

static int open_diag(struct host *host)
{
    if (host->diag_fd >= 0)
        return 0;
    host->diag_fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    return host->diag_fd < 0 ? neg_errno() : 0;
}

static int send_request(const struct dump *dump, uint8_t family)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct request request = {
        .header =
            {
                .nlmsg_len = sizeof(request),
                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                .nlmsg_seq = dump->sequence,
            },
        .body =
            {
                .sdiag_family = family,
                .sdiag_protocol = IPPROTO_TCP,
                .idiag_states = 1U << HOST_TCP_LISTEN,
            },
    };
    ssize_t n = sendto(dump->fd, &request, sizeof(request), 0,
                       (const struct sockaddr *)&kernel, sizeof(kernel));

    if (n < 0)
        return neg_errno();
    return n == (ssize_t)sizeof(request) ? 0 : -EIO;
}

/* Behind the header. Copied from there, because nothing aligns it. */
static const char *body_of(const struct nlmsghdr *header)
{
    return (const char *)header + NLMSG_HDRLEN;
}

static void give_socket(const struct dump *dump, const struct nlmsghdr *header)
{
    struct inet_diag_msg message;
    struct host_socket found = {0};

    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(message)))
        return;
    memcpy(&message, body_of(header), sizeof(message));
    if (message.idiag_state != HOST_TCP_LISTEN || message.idiag_inode == 0)
        return;
    found.inode = message.idiag_inode;
    found.uid = message.idiag_uid;
    found.port = ntohs(message.id.idiag_sport);
    found.state = message.idiag_state;
    if (message.idiag_family == AF_INET)
        host_map_v4(found.address, message.id.idiag_src);
    else
        memcpy(found.address, message.id.idiag_src, sizeof(found.address));
    dump->fn(dump->ctx, &found);
}

/* 1: more messages follow. */
static int take_message(const struct dump *dump, const struct nlmsghdr *header)
{
    int error;

    if (header->nlmsg_seq != dump->sequence)
        return -EIO;
    if (header->nlmsg_type == NLMSG_DONE)
        return 0;
    if (header->nlmsg_type == NLMSG_ERROR) {
        if (header->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
            return -EIO;
        memcpy(&error, body_of(header), sizeof(error));
        return error < 0 ? error : -EIO;
    }
    if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
        give_socket(dump, header);
    return 1;
}

/* 1: more answers follow. Only the kernel answers; it has port 0. */
static int read_answer(const struct dump *dump)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_ROOM];
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(dump->fd, answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC,
                         (struct sockaddr *)&from, &from_len);
    size_t at = 0;

    if (n < 0)
        return neg_errno();
    if ((size_t)n > sizeof(answer) || from.nl_pid != 0)
        return -EIO;
    while ((size_t)n - at >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *header = (const void *)(answer + at);
        int r;

        if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > (size_t)n - at)
            return -EIO;
        r = take_message(dump, header);
        if (r <= 0)
            return r;
        at += MIN(NLMSG_ALIGN((size_t)header->nlmsg_len), (size_t)n - at);
    }
    return 1;
}

static int dump_family(const struct dump *dump, uint8_t family)
{
    int r = send_request(dump, family);

    if (r < 0)
        return r;
    for (int i = 0; i < ANSWERS_MAX; i++) {
        r = read_answer(dump);
        if (r <= 0)
            return r;
    }
    return -EIO;
}

static int dump_all(struct host *host, host_socket_fn *fn, void *ctx)
{
    struct dump dump = {.sequence = 1, .fn = fn, .ctx = ctx};
    int r = open_diag(host);

    if (r < 0)
        return r;
    dump.fd = host->diag_fd;
    r = dump_family(&dump, AF_INET);
    if (r < 0)
        return r;
    dump.sequence++;
    return dump_family(&dump, AF_INET6);
}

/* A socket on which something failed is closed: the rest of its answers with it. */
int host_diag_listeners(struct host *host, host_socket_fn *fn, void *ctx)
{
    int r;

    if (host->diag_refused)
        return -EOPNOTSUPP;
    r = dump_all(host, fn, ctx);
    if (r >= 0)
        return 0;
    host_diag_close(host);
    host->diag_refused = !is_passing(r);
    return host->diag_refused ? -EOPNOTSUPP : r;
}
