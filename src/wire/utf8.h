// SPDX-License-Identifier: Apache-2.0
/*
 * utf8.h - bytes that claim to be UTF-8, made so, as browsers do it
 */
#ifndef WIRE_UTF8_H
#define WIRE_UTF8_H

#include "base/buf.h"

/*
 * Append `bytes` to `to`. What is not well-formed (surrogates and overlong forms too)
 * becomes U+FFFD: one for each maximal subpart (WHATWG Encoding, UTF-8 decoder; Unicode
 * 3.9). That is at most three times the bytes. Control characters stay, NUL too.
 */
void utf8_repair(struct buf *to, struct span bytes);

#endif
