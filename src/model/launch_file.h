// SPDX-License-Identifier: Apache-2.0
/*
 * launch_file.h - the file that a vLLM server was given with --config, as arguments
 *
 * vLLM reads `key: value` lines with Python's yaml.safe_load() and puts them, as the
 * arguments they stand for, before those of its command line. Just that is done here, for
 * launch_read_with_file(). What vLLM would not start with, and what YAML offers beyond
 * plain values (anchors, aliases, tags, several documents), is refused.
 */
#ifndef MODEL_LAUNCH_FILE_H
#define MODEL_LAUNCH_FILE_H

#include "base/buf.h"
#include "base/complaint.h"

enum {
    LAUNCH_FILE_MAX = 64 << 10,       // bytes of the file
    LAUNCH_FILE_ARGS_MAX = 512 << 10, // of the arguments: JSON spells a byte with six
    LAUNCH_FILE_KEYS_MAX = 512,       // vLLM knows about 250
    LAUNCH_FILE_DEPTH_MAX = 16,
};

/*
 * Append the arguments to `ret`, each ended by a NUL; none are not NULL either. -EBADMSG: it cannot be read so;
 * -EFBIG: over a limit, or over that of `ret`; -ENOMEM. `why` then names line and column,
 * and nothing that the file holds; what `ret` holds is of no use.
 */
int launch_file_read(struct span yaml, struct buf *ret, struct complaint *why) MUST_CHECK;

#endif
