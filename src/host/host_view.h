// SPDX-License-Identifier: Apache-2.0
/*
 * host_view.h - paths as one process means them: in its root, its working folder, its home
 *
 * What host_files.c and model_files.c share. A view is of just one process, which
 * host_view_check() asks again when all is read. Paths in it are absolute in that root.
 */
#ifndef HOST_HOST_VIEW_H
#define HOST_HOST_VIEW_H

#include "host/host_files.h"

struct host_path {
    char text[HOST_PATH_MAX];
};

struct host_view {
    const struct host *host;
    const struct host_process *process;
    int process_fd;
    int root_fd;
    struct host_path path; // what was looked at last
    bool has_environment;
    struct buf environment;
};

void host_view_init(struct host_view *view, const struct host *host,
                    const struct host_process *process);
int host_view_open(struct host_view *view) MUST_CHECK;
void host_view_done(struct host_view *view);

/* -ESRCH: the process has gone meanwhile. */
int host_view_check(const struct host_view *view) MUST_CHECK;

/* The file that view->path names, as host_read_file_in_root() reads it. */
int host_view_read(const struct host_view *view, struct buf *buf) MUST_CHECK;

/*
 * The value, in the environment it was started with, of the first of `names` (the last is
 * NULL) that is set and not empty. -ENOENT: of none.
 */
int host_view_variable(struct host_view *view, const char *const *names,
                       struct span *ret) MUST_CHECK;

/* -ENODATA: neither HOME nor its /etc/passwd tell of its home. */
int host_view_home(struct host_view *view, struct host_path *ret) MUST_CHECK;

/* Make a path that the process was given absolute: ~ is its home. */
int host_view_resolve(struct host_view *view, struct span given,
                      struct host_path *ret) MUST_CHECK;

/* -ENAMETOOLONG: does not fit. */
int host_path_set(struct host_path *path, struct span start, const char *rest) MUST_CHECK;
int host_path_add(struct host_path *path, struct span more) MUST_CHECK;

#endif
