// SPDX-License-Identifier: Apache-2.0
/*
 * seed.h - the document of GET /vram/stream and /vram (docs/wire.md)
 *
 * Its keys, their order and their types never change: bytes are int64, the rate is a
 * number with a decimal point in 0..100, models is an array. An unknown figure is 0 here,
 * and here only, because the types leave it no other way.
 */
#ifndef ENCODE_SEED_H
#define ENCODE_SEED_H

#include "base/buf.h"
#include "snapshot/snapshot.h"

enum {
    SEED_EVENT_MAX = 64 * 1024 - 1, // what a reader with Go's default line limit can take
};

enum seed_model_id { SEED_IDENTIFIER, SEED_SERVED_NAME };

/* Append the JSON, one line without its end. */
void seed_write(struct buf *out, const struct snapshot *snapshot,
                enum seed_model_id form);

/* Its `models` alone, an array. */
void seed_write_models(struct buf *out, const struct snapshot *snapshot,
                       enum seed_model_id form);

#endif
