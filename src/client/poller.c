// SPDX-License-Identifier: Apache-2.0
#include "client/poller.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

enum { EVENTS_MAX = 8 }; // of one turn; what is left over is told again

int64_t poller_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/*
 * A socket that cannot be watched is left alone: its transfer ends with its time. Said to
 * libcurl, it would end all transfers, those to come as well.
 */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct poller *poller = ctx;
    struct epoll_event event = {.data.fd = fd};

    (void)easy;
    (void)socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(poller->fd, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
        (void)epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event);
    return 0;
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *ctx)
{
    struct poller *poller = ctx;

    (void)multi;
    poller->curl_due_ns =
        timeout_ms < 0 ? POLLER_NEVER : poller_now_ns() + (int64_t)timeout_ms * NS_PER_MS;
    return 0;
}

int poller_init(struct poller *poller)
{
    struct epoll_event event = {.events = EPOLLIN};

    *poller = (struct poller){-1, -1, NULL, POLLER_NEVER, POLLER_NEVER};
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0)
        return neg_errno();
    poller->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (poller->timer_fd < 0)
        return neg_errno();
    event.data.fd = poller->timer_fd;
    if (epoll_ctl(poller->fd, EPOLL_CTL_ADD, poller->timer_fd, &event) < 0)
        return neg_errno();
    poller->multi = curl_multi_init();
    if (!poller->multi)
        return -ENOMEM;
    (void)curl_multi_setopt(poller->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(poller->multi, CURLMOPT_SOCKETDATA, poller);
    (void)curl_multi_setopt(poller->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    (void)curl_multi_setopt(poller->multi, CURLMOPT_TIMERDATA, poller);
    return 0;
}

void poller_done(struct poller *poller)
{
    if (poller->multi)
        (void)curl_multi_cleanup(poller->multi);
    close_fd(&poller->timer_fd);
    close_fd(&poller->fd);
    *poller = (struct poller){-1, -1, NULL, POLLER_NEVER, POLLER_NEVER};
}

static void on_timer(struct poller *poller)
{
    uint64_t times;

    // What is due is found by the clock; the count only makes the descriptor quiet.
    if (read(poller->timer_fd, &times, sizeof(times)) > 0)
        poller->armed_ns = POLLER_NEVER;
}

static void on_ready(struct poller *poller, const struct epoll_event *event)
{
    int flags = 0, running;

    if (event->events & (EPOLLERR | EPOLLHUP)) // told of the error alone, libcurl would
        flags = CURL_CSELECT_ERR | CURL_CSELECT_IN; // not ask which one it is
    if (event->events & EPOLLIN)
        flags |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT)
        flags |= CURL_CSELECT_OUT;
    (void)curl_multi_socket_action(poller->multi, event->data.fd, flags, &running);
}

void poller_turn(struct poller *poller)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(poller->fd, events, EVENTS_MAX, 0), running;

    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == poller->timer_fd)
            on_timer(poller);
        else
            on_ready(poller, &events[i]);
    }
    if (poller_now_ns() >= poller->curl_due_ns) {
        poller->curl_due_ns = POLLER_NEVER;
        (void)curl_multi_socket_action(poller->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

bool poller_take_done(struct poller *poller, CURLcode *ret)
{
    int left;
    CURLMsg *message = curl_multi_info_read(poller->multi, &left);
    CURL *easy;

    if (!message)
        return false;
    easy = message->easy_handle;
    *ret = message->data.result; // the message dies with the handle's removal
    (void)curl_multi_remove_handle(poller->multi, easy);
    return true;
}

void poller_arm(struct poller *poller, int64_t due_ns)
{
    struct itimerspec when = {{0, 0}, {0, 0}};

    due_ns = MIN(due_ns, poller->curl_due_ns);
    if (due_ns == poller->armed_ns)
        return;
    poller->armed_ns = due_ns;
    if (due_ns != POLLER_NEVER) {
        due_ns = MAX(due_ns, INT64_C(1)); // 0 would stop it
        when.it_value.tv_sec = due_ns / NS_PER_S;
        when.it_value.tv_nsec = due_ns % NS_PER_S;
    }
    (void)timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}
