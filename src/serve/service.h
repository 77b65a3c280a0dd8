// SPDX-License-Identifier: Apache-2.0
/*
 * service.h - everything that is served over HTTP, and what it is made from
 *
 * Publishing encodes a snapshot once, whoever asks for it later; where there is nothing
 * honest to say, the reason is published in its stead. Nothing here reaches back to a
 * source.
 *
 * Clients are served by the caller's loop, or by threads with a loop each, between which
 * the kernel distributes them. The limits hold over all of them.
 */
#ifndef SERVE_SERVICE_H
#define SERVE_SERVICE_H

#include "encode/seed.h"
#include "serve/advice.h"
#include "serve/gate.h"
#include "serve/hub.h"
#include "serve/outage.h"

enum { SERVICE_THREADS_MAX = 64 };

struct board_documents;
struct board_tap;
struct historian;
struct journal;
struct node_boards;
struct past;
struct service;

struct service_options {
    uv_loop_t *loop;
    struct http_limits limits;
    struct tls *tls; // as in http_server_options
    bool allow_public;
    struct gate *gate;    // lent: who is let in
    unsigned threads;     // that serve; 0: the loop does
    uint32_t socket_mode; // as http_server_options has it
    enum seed_model_id model_id;
    const struct board_documents *documents; // as board_options has it; without threads
    struct past *past;                       // as board_options has it
    const struct board_tap *tap;             // likewise
    bool fleet;                              // likewise
    struct node_boards *nodes;               // lent: a gateway's; NULL: this is none
    struct journal *journal;                 // lent: what happened; NULL: nobody notes it
    struct observations_source observations; // of the advice; zeroed: there is none
    struct historian *historian; // lent: answers /v1/history; NULL: nobody does
    uint64_t interval_ms;        // figures older than three of them are not fresh
    uint64_t (*now_ns)(void);    // CLOCK_MONOTONIC
};

/* Where *ret is set on failure, it is to be closed and freed like any other. */
int service_new(const struct service_options *options, struct service **ret) MUST_CHECK;

/* As http_server_drain(), once every stream has been told. */
void service_drain(struct service *service, http_drained_fn *drained, void *ctx);
void service_close(struct service *service); // ends every connection; then the loop turns
void service_free(struct service *service);

/* As http_server_listen(). */
int service_listen(struct service *service, const char *address, char *ret_url,
                   size_t url_room, struct complaint *complaint) MUST_CHECK;

/* As http_server_adopt(). */
int service_adopt(struct service *service, int fd, char *ret_url, size_t url_room,
                  struct complaint *complaint) MUST_CHECK;

/*
 * Serve from now on; who has connected before has waited. No further addresses. -EAGAIN:
 * no thread can be had.
 */
int service_start(struct service *service) MUST_CHECK;

/* Make `snapshot` the newest and send it to every subscriber. Takes a reference. */
int service_publish(struct service *service, const struct snapshot *snapshot) MUST_CHECK;

/*
 * There are no figures: subscribers get a comment, newcomers a 503. Copies the texts.
 * `nodes`: as board_publish_outage() has it.
 */
int service_publish_outage(struct service *service, const struct outage *outage,
                           const struct snapshot *nodes) MUST_CHECK;

/* What the program costs at this moment, for those who ask while there is nothing to show. */
void service_tell_self(struct service *service, const struct snapshot_self *self);

/* As board_begin_anew(). */
void service_begin_anew(struct service *service);

/* The run of the program, as documents name it. */
const char *service_boot(const struct service *service);

struct hub_stats service_hub_stats(const struct service *service);

/* How often each limit was met: how many of them were written. */
size_t service_limited(const struct service *service, struct snapshot_limited *ret,
                       size_t max);

#endif
