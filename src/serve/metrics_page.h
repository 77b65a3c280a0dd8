// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_page.h - the page of GET /metrics, made when it is asked for
 *
 * However many ask, a snapshot is written once for each format, and not at all where
 * nobody does. May be used from any thread.
 */
#ifndef SERVE_METRICS_PAGE_H
#define SERVE_METRICS_PAGE_H

#include "encode/metrics.h"
#include "serve/frame.h"

struct metrics_page;

/* `fleet`: its snapshots may be a gateway's, of which the page may be longer. */
int metrics_page_new(bool fleet, struct metrics_page **ret) MUST_CHECK;
void metrics_page_free(struct metrics_page *page);

/* The newest snapshot, lent until the next of these calls. */
void metrics_page_publish(struct metrics_page *page, const struct snapshot *snapshot);

/* There is none; `fleet`, lent likewise, is what a gateway knows all the same, or NULL. */
void metrics_page_publish_outage(struct metrics_page *page,
                                 const struct snapshot_fleet *fleet);

/* What is known of the program while there is no snapshot. Copied. */
void metrics_page_tell_self(struct metrics_page *page, const struct snapshot_self *self);

/* The page is the frame's event; the reference is the caller's. */
int metrics_page_get(struct metrics_page *page, enum metrics_format format,
                     struct frame **ret) MUST_CHECK;

#endif
