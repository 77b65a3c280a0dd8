// SPDX-License-Identifier: Apache-2.0
/*
 * cli_feed.h - the streams of several daemons, waited for at once
 */
#ifndef CLI_CLI_FEED_H
#define CLI_CLI_FEED_H

#include "cli/cli.h"

struct feed;

/* Follow all URLs of `cli`. From here on SIGINT and SIGTERM end feed_wait(). */
int feed_open(const struct cli *cli, const struct vramscope_options *options,
              struct feed **ret, struct complaint *why) MUST_CHECK;
void feed_close(struct feed *feed); // takes NULL

/*
 * The next event of any of them, that of cli->urls[*which], valid until the next call.
 * NULL: errno is EINTR (the person wants to end it), ETIMEDOUT (`deadline_ms`, of
 * feed_now_ms(), has passed; -1: none) or ENOTCONN (none of them will say more, or none
 * has ever been reached: a daemon that was is come back to, a wrong URL is not).
 */
const struct vramscope_event *feed_wait(struct feed *feed, int64_t deadline_ms,
                                        size_t *which);

/* No more of that one. */
void feed_drop(struct feed *feed, size_t which);

/*
 * Tell on stderr what keeps documents from coming, when it begins and when it ends. For
 * each event.
 */
void feed_tell(struct feed *feed, size_t which, const struct vramscope_event *event);

/* CLOCK_MONOTONIC, ms. */
int64_t feed_now_ms(void);

/*
 * The newest document of each URL, or why there is none. Waits for all of them, each at
 * most for so long.
 */
struct newest {
    const struct vramscope_detail *detail; // a reference; NULL: none
    char *json;                            // as it came; NULL: not asked for, or none
    size_t json_len;
    int status; // of HTTP; 0: there was no answer
    struct complaint reason;
    char code[64];
    struct complaint remedy;
};

enum { CLI_WITHIN_MS = 10 * 1000 };

/* cli->n_urls of them, the caller's. -ENOMEM, -EINVAL, ...: `why`. */
int feed_newest(const struct cli *cli, bool with_json, int64_t within_ms,
                struct newest **ret, struct complaint *why) MUST_CHECK;
void newest_free(struct newest *newest, size_t n);

#endif
