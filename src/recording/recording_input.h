// SPDX-License-Identifier: Apache-2.0
/*
 * recording_input.h - the text of a file that may be gzip, in pieces as they are read
 *
 * Which of the two it is, its first bytes say. Of gzip every member is read; where the file
 * ends within one, the text until there is given. A place can be come back to: the start
 * of a member, or any byte of plain text.
 */
#ifndef RECORDING_RECORDING_INPUT_H
#define RECORDING_RECORDING_INPUT_H

#include "base/complaint.h"

struct recording_input;

/* `skip` bytes of text after the member, or the text, that begins at byte `at`. */
struct recording_place {
    uint64_t at;
    uint64_t skip;
};

/* "-" is stdin. */
int recording_input_open(const char *path, struct recording_input **ret,
                         struct complaint *why) MUST_CHECK;
void recording_input_free(struct recording_input *input); // takes NULL

/*
 * The next piece, lent until the next call: 1; 0 at the end. -EBADMSG: damaged gzip, or
 * what follows its last member is none; any other: the file cannot be read.
 */
int recording_input_next(struct recording_input *input, struct span *ret,
                         struct complaint *why) MUST_CHECK;

/* Where the piece given last begins. */
struct recording_place recording_input_place(const struct recording_input *input);

/* -ESPIPE: not in this file. */
int recording_input_seek(struct recording_input *input, struct recording_place place,
                         struct complaint *why) MUST_CHECK;

#endif
