// SPDX-License-Identifier: Apache-2.0
/*
 * poller.h - libcurl's sockets and timers, and the owner's, as one descriptor
 *
 * The descriptor is an epoll set that holds the sockets and a timerfd. It is readable when
 * poller_turn() has something to do, or the owner's time has come.
 */
#ifndef CLIENT_POLLER_H
#define CLIENT_POLLER_H

#include "base/base.h"

#include <curl/curl.h>

#define POLLER_NEVER INT64_MAX

/* Signed, unlike those of base/clock.h: what is due may be past. */
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

struct poller {
    int fd;       // the epoll set
    int timer_fd; // in it
    CURLM *multi;
    int64_t curl_due_ns;
    int64_t armed_ns; // what the timerfd is set to
};

int64_t poller_now_ns(void); // by the monotonic clock

/* In place; does not move. -EMFILE, -ENFILE, -ENOMEM. */
int poller_init(struct poller *poller) MUST_CHECK;
void poller_done(struct poller *poller); // takes one whose init has failed

/*
 * Let libcurl read, write and do what is due, a bounded amount of it. Callbacks of the
 * transfers are called from here.
 */
void poller_turn(struct poller *poller);

/* A transfer that has ended, taken out of the multi handle. */
bool poller_take_done(struct poller *poller, CURLcode *ret);

/* Wake up at `due_ns` or when libcurl wants to, whichever is earlier. */
void poller_arm(struct poller *poller, int64_t due_ns);

#endif
