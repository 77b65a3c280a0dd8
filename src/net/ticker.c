// SPDX-License-Identifier: Apache-2.0
#include "net/ticker.h"

#include "base/clock.h"

#include <sys/timerfd.h>

uint64_t ticker_now_ns(void)
{
    return clock_now_ns();
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
                             .tv_nsec = (long)(ns % NS_PER_S)};
}

static void on_expired(uv_poll_t *poll, int status, int events)
{
    struct ticker *ticker = CONTAINER_OF(poll, struct ticker, poll);
    uint64_t beats; // more than one after a stop: still one beat

    (void)status;
    (void)events;
    if (read(ticker->fd, &beats, sizeof(beats)) == (ssize_t)sizeof(beats))
        ticker->beat(ticker->ctx, ticker_now_ns());
}

int ticker_start(struct ticker *ticker, uv_loop_t *loop, uint64_t first_ns,
                 uint64_t period_ns, ticker_fn *beat, void *ctx)
{
    struct itimerspec when = {.it_value = timespec_of(first_ns),
                              .it_interval = timespec_of(period_ns)};
    int r;

    *ticker = (struct ticker){.ctx = ctx};
    ticker->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (ticker->fd < 0)
        return neg_errno();
    if (timerfd_settime(ticker->fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
        r = neg_errno();
        (void)close(ticker->fd);
        return r;
    }
    r = uv_poll_init(loop, &ticker->poll, ticker->fd);
    if (r < 0) {
        (void)close(ticker->fd);
        return r;
    }
    ticker->beat = beat; // from here on there is something to stop
    return uv_poll_start(&ticker->poll, UV_READABLE, on_expired);
}

void ticker_stop(struct ticker *ticker)
{
    if (!ticker->beat)
        return;
    (void)uv_poll_stop(&ticker->poll);
    uv_close((uv_handle_t *)&ticker->poll, NULL);
    (void)close(ticker->fd);
    ticker->beat = NULL;
}
