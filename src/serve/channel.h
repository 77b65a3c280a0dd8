// SPDX-License-Identifier: Apache-2.0
/*
 * channel.h - one form of the snapshot, published: as a stream, and once on request
 *
 * A snapshot is encoded at most once for a channel, and only if somebody wants it: a
 * channel that is `lazy` is not rendered while nobody has streamed it for a minute.
 */
#ifndef SERVE_CHANNEL_H
#define SERVE_CHANNEL_H

#include "serve/hub.h"
#include "snapshot/snapshot.h"

struct channel;

/* Append the JSON of a snapshot, one line without its end. */
typedef void channel_write_fn(void *ctx, struct buf *out,
                              const struct snapshot *snapshot);

struct channel_options {
    uv_loop_t *loop;
    channel_write_fn *write;
    void *ctx;
    size_t event_max; // of one event; a larger one is not sent
    size_t past;      // events kept for those who come back with Last-Event-ID
    bool lazy;
    const char *boot; // each event gets `id: BOOT-SEQ` and `retry:`; NULL: neither
    uint64_t (*now_ns)(void);
};

int channel_new(const struct channel_options *options, struct channel **ret) MUST_CHECK;
void channel_close(struct channel *channel); // ends its streams
void channel_free(struct channel *channel);

/* The newest snapshot, lent until the next call. -E2BIG: the event is too large. */
int channel_publish(struct channel *channel, const struct snapshot *snapshot) MUST_CHECK;

/* There is none: subscribers get a comment with the reason. */
int channel_publish_outage(struct channel *channel, const char *reason) MUST_CHECK;

/* Answer a request when a snapshot is there. -ENODATA: it cannot be encoded. */
int channel_answer_stream(struct channel *channel, struct http_conn *conn,
                          const struct http_request *request) MUST_CHECK;
int channel_answer_once(struct channel *channel, struct http_conn *conn) MUST_CHECK;

struct hub_stats channel_stats(const struct channel *channel);

#endif
