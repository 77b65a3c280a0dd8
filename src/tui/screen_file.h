// SPDX-License-Identifier: Apache-2.0
/*
 * screen_file.h - what is on the screen, as text in a file
 */
#ifndef TUI_SCREEN_FILE_H
#define TUI_SCREEN_FILE_H

#include "tui/canvas.h"

enum { SCREEN_FILE_NAME_SIZE = 48 };

/*
 * Write it into a new file of the current folder, which only its owner may read. `name` gets
 * vramscope-YYYYmmdd-HHMMSS.txt, also when it fails. -EEXIST: there is one already.
 */
int screen_file_write(const struct canvas *canvas, int64_t unix_ms,
                      char name[SCREEN_FILE_NAME_SIZE]) MUST_CHECK;

#endif
