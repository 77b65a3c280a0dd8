// SPDX-License-Identifier: Apache-2.0
/*
 * terminal.h - the terminal we were started on: a canvas is shown on it, keys come from it
 *
 * The only file that knows curses is behind this. There is one terminal at a time, and its
 * signals are caught before it is opened and until it is closed (terminal_signals.h), so that
 * it is put right on every way out.
 */
#ifndef TUI_TERMINAL_H
#define TUI_TERMINAL_H

#include "base/complaint.h"
#include "tui/theme.h"

struct terminal;

/*
 * Take stdin and stdout over. `colours`: use them if the terminal has any. -EINVAL: they are
 * no terminal; -ENOTSUP: one that cannot place a cursor, or that terminfo does not know.
 */
int terminal_open(bool colours, struct terminal **ret, struct complaint *why) MUST_CHECK;
void terminal_close(struct terminal *terminal); // takes NULL

/* The locale is not of UTF-8: draw with `ascii`. */
bool terminal_is_ascii(const struct terminal *terminal);

/* Readable when there may be a key. */
int terminal_fd(const struct terminal *terminal);

/* Writable when it takes output. After Ctrl-S it does not: showing would wait for Ctrl-Q. */
int terminal_output_fd(const struct terminal *terminal);
bool terminal_has_room(const struct terminal *terminal);

/* As it is now. */
void terminal_size(const struct terminal *terminal, int *rows, int *columns);

/* -ENOMEM: it was not shown. */
int terminal_show(struct terminal *terminal, const struct canvas *canvas,
                  const struct theme *theme) MUST_CHECK;

/* The next key, as view_key() takes it: a character or a code; KEY_CODE_NONE: none. */
int terminal_key(struct terminal *terminal);

/* Put it right, for as long as we are stopped; terminal_show() takes it over again. */
void terminal_suspend(struct terminal *terminal);

/* We go on: somebody else may have had the screen and its modes. */
void terminal_resume(struct terminal *terminal);

#endif
