// SPDX-License-Identifier: Apache-2.0
/*
 * text.h - strings from outside, made harmless where they come in
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/base.h"

/*
 * Copy `src` into `dst` as valid UTF-8 without control characters: what is not valid
 * UTF-8 (surrogates and overlong forms too), and C0, DEL, C1, U+2028 and U+2029, becomes
 * U+FFFD. Cut between characters so that it fits into `room` with its NUL. Returns the
 * length written.
 */
size_t text_clean(char *dst, size_t room, struct span src);

/* Without the blanks and line ends at both ends. */
struct span text_trim(struct span text) MUST_CHECK;

/* The same word, in letters of either case. */
bool text_same_word(struct span text, const char *word) MUST_CHECK;

/* A letter, digit, '_' or '-': what a name may have that stands in addresses and subjects. */
bool text_is_of_name(char c);

#endif
