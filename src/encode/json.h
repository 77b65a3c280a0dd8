// SPDX-License-Identifier: Apache-2.0
/*
 * json.h - write JSON into a bounded buffer
 *
 * The same bytes for the same facts on every machine: no locale, no shortest-float
 * library. An unknown number is null. Text is expected as text_clean() leaves it.
 */
#ifndef ENCODE_JSON_H
#define ENCODE_JSON_H

#include "base/buf.h"

void json_quote(struct buf *out, const char *text); // with its quotes
void json_u64(struct buf *out, uint64_t value);     // UNKNOWN: null

/* With one to 9 decimals. Null where it would have more than 18 digits in all. */
void json_fixed(struct buf *out, double value, unsigned decimals);

/* `,"key":`, or without the comma after an opening brace; the others a value as well. */
void json_put_key(struct buf *out, const char *key);
void json_put_number(struct buf *out, const char *key, uint64_t value); // UNKNOWN: null
void json_put_decimal(struct buf *out, const char *key, double value, unsigned decimals);
void json_put_text(struct buf *out, const char *key, const char *text);
void json_put_text_or_null(struct buf *out, const char *key,
                           const char *text); // NULL or "": null

#endif
