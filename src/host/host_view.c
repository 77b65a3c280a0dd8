// SPDX-License-Identifier: Apache-2.0
#include "host/host_view.h"

#include "host/host_proc.h"
#include "host/host_root.h"
#include "host/host_text.h"

#include <stdio.h>
#include <sys/stat.h>

enum { PASSWD_MAX = 1 << 20 };

int host_path_set(struct host_path *path, struct span start, const char *rest)
{
    int n = start.len < HOST_PATH_MAX ? snprintf(path->text, sizeof(path->text), "%.*s%s",
                                                 (int)start.len, start.at, rest)
                                      : HOST_PATH_MAX;

    return n < 0 || n >= HOST_PATH_MAX ? -ENAMETOOLONG : 0;
}

int host_path_add(struct host_path *path, struct span more)
{
    size_t len = strlen(path->text);

    if (len > 0 && path->text[len - 1] == '/')
        len--;
    if (more.len + 1 >= sizeof(path->text) - len)
        return -ENAMETOOLONG;
    path->text[len] = '/';
    memcpy(path->text + len + 1, more.at, more.len);
    path->text[len + 1 + more.len] = '\0';
    return 0;
}

void host_view_init(struct host_view *view, const struct host *host,
                    const struct host_process *process)
{
    *view = (struct host_view){
        .host = host, .process = process, .process_fd = -1, .root_fd = -1};
    buf_init(&view->environment, HOST_ENVIRON_MAX);
}

int host_view_open(struct host_view *view)
{
    view->root_fd = host_open_root(view->host, view->process);
    if (view->root_fd < 0)
        return view->root_fd;
    view->process_fd = host_open_same(view->host, view->process);
    return MIN(view->process_fd, 0);
}

void host_view_done(struct host_view *view)
{
    close_fd(&view->root_fd);
    close_fd(&view->process_fd);
    buf_done(&view->environment);
}

int host_view_check(const struct host_view *view)
{
    return host_check_same(view->process_fd, view->process);
}

int host_view_read(const struct host_view *view, struct buf *buf)
{
    return host_read_file(view->host, view->root_fd, view->path.text, buf);
}

static int read_environment(struct host_view *view)
{
    int r = host_path_set(&view->path, span_of("environ"), "");

    if (r == 0)
        r = host_read_whole(view->process_fd, "environ", HOST_ENVIRON_MAX,
                            &view->environment);
    view->has_environment = r == 0;
    return r;
}

int host_view_variable(struct host_view *view, const char *const *names, struct span *ret)
{
    int r = view->has_environment ? 0 : read_environment(view);

    if (r < 0)
        return r;
    for (; *names; names++) {
        r = host_find_variable(buf_span(&view->environment), *names, ret);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0 && ret->len > 0)
            return 0;
    }
    return -ENOENT;
}

/* That of its user in its own /etc/passwd, which counts where HOME is not set. */
static int find_passwd_home(struct host_view *view, struct host_path *ret)
{
    OWNED(buf_done) struct buf passwd;
    struct span home;
    struct stat status;
    int r;

    buf_init(&passwd, PASSWD_MAX);
    r = host_path_set(&view->path, span_of("/etc/passwd"), "");
    if (r < 0)
        return r;
    if (fstat(view->process_fd, &status) < 0)
        return neg_errno();
    r = host_view_read(view, &passwd);
    if (r < 0)
        return r;
    r = host_find_home(buf_span(&passwd), status.st_uid, &home);
    return r < 0 ? -ENODATA : host_path_set(ret, home, "");
}

int host_view_home(struct host_view *view, struct host_path *ret)
{
    static const char *const names[] = {"HOME", NULL};
    struct span home;
    int r = host_view_variable(view, names, &home);

    if (r == -ENOENT)
        return find_passwd_home(view, ret);
    return r < 0 ? r : host_path_set(ret, home, "");
}

/* A link's text. What is no link (a tree made for a test) is "/". */
static int read_link(const struct host_view *view, const char *name,
                     struct host_path *ret)
{
    ssize_t n = readlinkat(view->process_fd, name, ret->text, sizeof(ret->text));
    int r;

    if (n < 0) {
        r = neg_errno();
        if (r == -EINVAL)
            return host_path_set(ret, span_of("/"), "");
        return host_is_gone(r) ? -ESRCH : r;
    }
    if ((size_t)n == sizeof(ret->text))
        return -ENAMETOOLONG;
    ret->text[n] = '\0';
    return 0;
}

/*
 * The working folder as the process names it. The kernel names both from our root: of a
 * process under chroot, its root is cut off. A container's root reads "/".
 */
static int find_cwd(const struct host_view *view, struct host_path *ret)
{
    struct host_path root, cwd;
    size_t len;
    int r = read_link(view, "root", &root);

    if (r < 0)
        return r;
    r = read_link(view, "cwd", &cwd);
    if (r < 0)
        return r;
    len = strcmp(root.text, "/") == 0 ? 0 : strlen(root.text);
    if (strncmp(cwd.text, root.text, len) != 0 ||
        (cwd.text[len] != '/' && cwd.text[len] != '\0'))
        return -ENOENT; // it works outside of its own root
    return host_path_set(ret, span_of(cwd.text + len), "");
}

int host_view_resolve(struct host_view *view, struct span given, struct host_path *ret)
{
    bool is_home = host_starts_with(given, "~") && (given.len == 1 || given.at[1] == '/');
    int r;

    if (host_starts_with(given, "/"))
        return host_path_set(ret, given, "");
    r = is_home ? host_view_home(view, ret) : find_cwd(view, ret);
    if (r < 0)
        return r;
    if (is_home) {
        size_t skipped = MIN(given.len, sizeof("~/") - 1);

        given = (struct span){given.at + skipped, given.len - skipped};
    }
    return host_path_add(ret, given);
}
