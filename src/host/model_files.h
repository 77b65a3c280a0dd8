// SPDX-License-Identifier: Apache-2.0
/*
 * model_files.h - what a process was started with of its model: config.json, weights
 *
 * Looks where the process itself has looked: in the folder it was given, or else in its
 * cache of the Hugging Face hub, as its environment places that. Everything is opened as
 * host_files.h says, inside the process's root, and the same cautions hold: call it
 * beside the loop, and publish none of the text.
 */
#ifndef HOST_MODEL_FILES_H
#define HOST_MODEL_FILES_H

#include "base/complaint.h"
#include "host/host_files.h"

enum {
    MODEL_FILE_MAX = 1 << 20,
    MODEL_INDEX_MAX = 32 << 20, // of a mixture of many experts it has about 10 MiB
};

#define MODEL_WEIGHTS_MAX (UINT64_C(1) << 50)

struct model_name {
    const char *model;    // a path or ORG/NAME, as --model or /v1/models' `root` have it
    const char *revision; // NULL: main
};

struct model_file {
    struct buf text;
    char path[HOST_PATH_MAX]; // in the process's root, cleaned by text_clean()
};

/*
 * Find and read it. The caller releases *ret by model_file_done(). On failure the
 * complaint says which file was looked at and what would help.
 *
 * -ESRCH: the process is gone. -EACCES: its files are not for us to read. -ENOENT,
 * -ENOTDIR: not there. -ENODATA: its user's home is not known. -ENOTUNIQ: the cache holds
 * several snapshots and does not say which one is meant. -EINVAL: neither a path nor a
 * model's name, or not an ordinary file. -EBADMSG: the process's environment, or the
 * cache, is not what it should be. -E2BIG, -ENAMETOOLONG, -ELOOP, -EAGAIN, -ENOSYS: as in
 * host_files.h.
 */
int host_find_model_config(struct host *host, const struct host_process *process,
                           const struct model_name *name, struct model_file *ret,
                           struct complaint *complaint) MUST_CHECK;

void model_file_done(struct model_file *config);

struct model_weights {
    struct buf index;    // text of model.safetensors.index.json; empty: there is none
    uint64_t file_bytes; // then the size of model.safetensors; else UNKNOWN
};

/*
 * Find what tells the size of the weights in the folder of its config.json. The caller
 * releases *ret by model_weights_done(), soon: the index may be large. The errors are
 * those of host_find_model_config(), and -ENOENT: not told, as the weights are of another
 * format, or several files without an index.
 */
int host_find_model_weights(struct host *host, const struct host_process *process,
                            const struct model_name *name, struct model_weights *ret,
                            struct complaint *complaint) MUST_CHECK;

void model_weights_done(struct model_weights *weights);

/* Whether `text` is ORG/NAME or NAME, as the Hugging Face hub allows them. */
bool model_is_hub_name(struct span text);

/* Whether `text` may be a revision: a branch, a tag, a hash, or refs like pr/1. */
bool model_is_revision(struct span text);

#endif
