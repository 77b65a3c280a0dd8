// SPDX-License-Identifier: Apache-2.0
/*
 * display_text.h - text from outside, made harmless for a terminal
 *
 * The one sanitiser of everything a terminal is to show, on the screen and on stdout and
 * stderr: not valid UTF-8 and categories Cc, Cf, Zl, Zp, Co, Cs and Cn (control, format
 * with all bidirectional marks and zero-width signs, separators, private use, surrogates,
 * not assigned), and letters that are drawn as nothing, become U+FFFD; at most two
 * combining signs follow a base, others and all variation selectors are left out. With
 * `ascii` whatever is not ASCII becomes '?': so it has to be where the locale is not of
 * UTF-8. Nothing else here depends on the locale.
 */
#ifndef TUI_DISPLAY_TEXT_H
#define TUI_DISPLAY_TEXT_H

#include "base/buf.h"

struct sign {
    char text[16]; // base and combining signs, with a NUL
    int width;     // cells: 1 or 2
};

/* Take the next sign off the front of `text`; false at its end. */
bool display_next(struct span *text, bool ascii, struct sign *ret);

/* Append the whole text made harmless, cut after `columns` cells (-1: not at all). */
void display_text(struct buf *out, struct span text, bool ascii, int columns);

/* Cells that the text takes. */
int display_width(struct span text);

/*
 * Append a JSON text, the same value in the same words, with every sign that a terminal
 * must not get written as \uXXXX, and blanks for the line ends between its tokens. What is
 * not UTF-8, and so no JSON, becomes U+FFFD.
 */
void display_json(struct buf *out, struct span json);

#endif
