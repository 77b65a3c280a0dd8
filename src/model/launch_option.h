// SPDX-License-Identifier: Apache-2.0
/*
 * launch_option.h - the options of a server's command line, and how their values read
 *
 * One table line per option; launch.c spells the arguments, this reads their values.
 */
#ifndef MODEL_LAUNCH_OPTION_H
#define MODEL_LAUNCH_OPTION_H

#include "model/launch.h"
#include "model/model_limits.h"

enum { OPTION_NAME_MAX = 64 }; // longer than any of ours

enum option_kind {
    OPTION_TEXT,
    OPTION_WORD,
    OPTION_FIRST, // the first of a list
    OPTION_COUNT,
    OPTION_BYTES,  // 1k is 1000, 1K is 1024
    OPTION_LENGTH, // likewise, or -1 or auto
    OPTION_RATIO,
    OPTION_FLAG,  // takes no value; --no-... is its opposite
    OPTION_GIVEN, // takes a value that is not read
    OPTION_SPECULATIVE,
};

struct option {
    const char *name;  // as written after --, with dashes
    const char *brief; // as written after -; NULL: none
    enum option_kind kind;
    size_t offset;
};

struct option_table {
    const struct option *at;
    size_t n;
};

extern const struct option_table launch_options;
extern const struct option_table launch_draft_options; // of --speculative-config
extern const struct option_table launch_info_model;    // of /server_info, part by part
extern const struct option_table launch_info_cache;
extern const struct option_table launch_info_parallel;
extern const struct option_table launch_info_scheduler;

/* Text as argparse would take it. False, and nothing is kept: it cannot be read. */
bool option_read(const struct option *option, struct span value, struct launch *launch);

/* All members of `object` that `table` knows; one that cannot be read is `unclear`. */
void option_apply_json(struct option_table table, const json_t *object,
                       struct launch *launch);
void option_apply_draft(const json_t *object, struct launch *launch);

/* Where the option's value is kept. */
void *option_member(struct launch *launch, const struct option *option);

/* False, and nothing is kept: it is no text, too long, or has a NUL inside. */
bool option_keep_text(char *ret, size_t max, struct span value);

#endif
