// SPDX-License-Identifier: Apache-2.0
/*
 * channel.h - one form of the snapshot, published: as a stream, and once on request
 *
 * A snapshot is encoded at most once for a channel, and only if somebody wants it: a
 * channel that is `lazy` is not rendered while nobody has streamed it for a minute.
 *
 * Each loop that serves a channel has an outlet of it, with the subscribers of that loop.
 * What is published is put into every outlet's tray, under one lock with the newest frame:
 * who subscribes gets the newest and then all after it, none twice. A channel may be used
 * from any thread, an outlet only from its loop's.
 */
#ifndef SERVE_CHANNEL_H
#define SERVE_CHANNEL_H

#include "serve/hub.h"
#include "snapshot/snapshot.h"

struct channel;
struct outlet;

/* Append the JSON of a snapshot, one line without its end. */
typedef void channel_write_fn(void *ctx, struct buf *out,
                              const struct snapshot *snapshot);

struct channel_options {
    channel_write_fn *write;
    void *ctx;
    size_t event_max; // of one event; a larger one is not sent
    size_t past;      // events kept for those who come back with Last-Event-ID
    bool lazy;
    const char *boot; // each event gets `id: BOOT-SEQ` and `retry:`; NULL: neither. Its
                      // text is read now, and by the first publication after _forget()
    uint64_t (*now_ns)(void);
};

int channel_new(const struct channel_options *options, struct channel **ret) MUST_CHECK;
void channel_free(struct channel *channel); // after its outlets

/*
 * The newest snapshot, lent until the next call of this or of channel_publish_outage().
 * -E2BIG: the event is too large.
 */
int channel_publish(struct channel *channel, const struct snapshot *snapshot) MUST_CHECK;

/*
 * The id and the JSON of what was published last, lent until the next is; by who publishes.
 * False: it was not rendered, or there is none.
 */
bool channel_newest(struct channel *channel, struct span *ret_id, struct span *ret_json);

/* There is none: subscribers get a comment with the reason. */
int channel_publish_outage(struct channel *channel, const char *reason) MUST_CHECK;

/*
 * What is published next is of another run than all before: nobody who comes back is sent
 * those. By who publishes.
 */
void channel_forget(struct channel *channel);

struct hub_stats channel_stats(struct channel *channel);

/*
 * An outlet for `loop`, on its thread or while that does not run; others may be publishing.
 * Whenever something lies in the tray, `wake` is called, on any thread: outlet_deliver() is
 * then due.
 */
int outlet_new(struct channel *channel, uv_loop_t *loop, void (*wake)(void *ctx),
               void *ctx, struct outlet **ret) MUST_CHECK;

/* Let its streams end by themselves; with ids, they are told by `event: bye`. */
void outlet_drain(struct outlet *outlet);
void outlet_close(struct outlet *outlet); // ends its streams; then the loop must turn
void outlet_free(struct outlet *outlet);  // while nothing is being published

/* Send what lies in the tray. */
void outlet_deliver(struct outlet *outlet);

/* Answer a request. -ENODATA: there is no snapshot; any other: it cannot be encoded. */
int outlet_answer_stream(struct outlet *outlet, struct http_conn *conn,
                         const struct http_request *request) MUST_CHECK;
int outlet_answer_once(struct outlet *outlet, struct http_conn *conn) MUST_CHECK;

#endif
