// SPDX-License-Identifier: Apache-2.0
/*
 * cli_output.h - the one way to stdout and stderr
 *
 * Text passes display_text, JSON passes display_json, whether a terminal reads it or not:
 * no byte from a daemon can be more than a sign in a line.
 */
#ifndef CLI_CLI_OUTPUT_H
#define CLI_CLI_OUTPUT_H

#include "base/buf.h"

enum cli_look { LOOK_PLAIN, LOOK_GOOD, LOOK_BAD, LOOK_WORST };

/* `ascii`: print nothing else. `colours`: of cli_print_word() alone. */
void cli_output_init(bool ascii, bool colours);

/* A line on stdout; its end is added. */
void cli_print(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same after a word in a colour, where there are colours. */
void cli_print_word(enum cli_look look, const char *word, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* A JSON text as a line. */
void cli_print_json(struct span json);

/*
 * Add a cell of a table to a line: made harmless, cut or filled with blanks to `width`
 * cells, then a blank. A negative width puts the text to the right.
 */
void cli_add_cell(struct buf *line, int width, const char *text);

/* "2026-11-23 10:00:00.500", by the local clock; "--" if it is none. */
enum { CLI_TIME_SIZE = 64 };
void cli_time_text(char ret[CLI_TIME_SIZE], int64_t unix_ms);

/* A line on stderr, after the program's name. */
void cli_message(const char *format, ...) PRINTF_LIKE(1, 2);

/* Write out what has been printed. -EPIPE, -ENOSPC, ...: from then on, nothing is. */
int cli_flush(void);

/* The end of the program: what is left is written. As cli_flush(). */
int cli_output_done(void);

#endif
