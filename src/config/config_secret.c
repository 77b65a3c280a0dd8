// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"
#include "config/config_value.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

enum {
    PATH_MAX_LEN = 4095,
    SECRET_MAX_LEN = 4096,
    SECRET_ROOM = SECRET_MAX_LEN + 2, // one more than the longest with CRLF would be cut
};

/* A file's whole content; wiped when it goes out of scope. */
struct secret {
    char bytes[SECRET_ROOM];
    struct span key; // the bytes without the line end
};

static void secret_wipe(struct secret *secret)
{
    explicit_bzero(secret, sizeof(*secret));
}

/*
 * Who can read a token can use it, and who can write one can set it. A link may lead to the
 * file, as Kubernetes and systemd make them; it is the file itself that must be ours.
 */
static const char *find_owner_fault(const struct stat *status)
{
    if (status->st_mode & S_IRWXO)
        return "is open to every user of this host (chmod o-rwx)";
    if (status->st_uid != 0 && status->st_uid != geteuid())
        return "belongs neither to root nor to the user who runs vramscoped";
    return NULL;
}

static int complain_file(struct span path, const char *fault, struct complaint *why)
{
    return complain(why, -EINVAL, "'%s' %s", quote(path).text, fault);
}

/* `path` has been checked to be without a NUL. */
static int open_file(struct span path, const char *name, bool ours, struct complaint *why)
{
    struct stat status;
    const char *fault = NULL;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return complain(why, -EINVAL, "'%s': %s", quote(path).text, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        fault = "is not a regular file";
    else if (ours)
        fault = find_owner_fault(&status);
    if (!fault)
        return fd;
    (void)close(fd); // only looked at
    return complain_file(path, fault, why);
}

/* `ours`: nobody but root and us may have to do with the file. */
static int read_secret(struct span path, bool ours, struct secret *ret,
                       struct complaint *why)
{
    static const struct setting kind = {.kind = KIND_TEXT, .max = PATH_MAX_LEN};
    OWNED(free_str) char *name = NULL;
    OWNED(close_fd) int fd = -1;
    ssize_t n;
    int r = value_set(&kind, &name, path, why);

    if (r < 0)
        return r;
    fd = open_file(path, name, ours, why);
    if (fd < 0)
        return fd;
    n = read(fd, ret->bytes, sizeof(ret->bytes));
    if (n < 0)
        return complain(why, -EINVAL, "'%s': %s", quote(path).text, strerror(errno));

    ret->key = (struct span){ret->bytes, (size_t)n};
    if (ret->key.len > 0 && ret->bytes[ret->key.len - 1] == '\n')
        ret->key.len--;
    if (ret->key.len > 0 && ret->bytes[ret->key.len - 1] == '\r')
        ret->key.len--;
    return 0;
}

/* A key goes into a header line, so that only visible ASCII may be in it. */
static int set_secret(struct span text, bool ours, char **at, struct complaint *why)
{
    OWNED(secret_wipe) struct secret secret;
    char *copy;
    int r = read_secret(text, ours, &secret, why);

    if (r < 0)
        return r;
    if (secret.key.len == 0 || secret.key.len > SECRET_MAX_LEN ||
        !value_is_visible_ascii(secret.key))
        return complain_file(text, "does not hold one key in visible ASCII", why);
    copy = strndup(secret.key.at, secret.key.len);
    if (!copy)
        return complain(why, -ENOMEM, "out of memory");
    free(*at);
    *at = copy;
    return 0;
}

int value_set_secret(const struct setting *setting, void *member, struct span text,
                     struct complaint *why)
{
    (void)setting; // a path's limit, not the key's
    return set_secret(text, false, member, why);
}

int value_set_private_secret(const struct setting *setting, void *member,
                             struct span text, struct complaint *why)
{
    (void)setting;
    return set_secret(text, true, member, why);
}

/* Who reads it later reads it again: what it holds is not looked at. */
int value_set_private(const struct setting *setting, void *member, struct span text,
                      struct complaint *why)
{
    static const struct setting kind = {.kind = KIND_TEXT, .max = PATH_MAX_LEN};
    OWNED(free_str) char *name = NULL;
    OWNED(close_fd) int fd = -1;
    char **at = member;
    int r = value_set(&kind, &name, text, why);

    (void)setting;
    if (r < 0)
        return r;
    fd = open_file(text, name, true, why);
    if (fd < 0)
        return fd;
    free(*at);
    *at = TAKE(name);
    return 0;
}

int value_set_token(const struct setting *setting, void *member, struct span text,
                    struct complaint *why)
{
    OWNED(secret_wipe) struct secret secret;
    struct config_token *token = member;
    int r = read_secret(text, true, &secret, why);

    if (r < 0)
        return r;
    if (secret.key.len < setting->min || secret.key.len > setting->max ||
        !value_is_visible_ascii(secret.key))
        return complain(why, -EINVAL,
                        "'%s' does not hold one token of %llu to %llu characters of "
                        "visible ASCII (openssl rand -hex 32 makes a good one)",
                        quote(text).text, (unsigned long long)setting->min,
                        (unsigned long long)setting->max);
    if (!EVP_Digest(secret.key.at, secret.key.len, token->sha256, NULL, EVP_sha256(),
                    NULL))
        return complain(why, -ENOMEM, "OpenSSL cannot make a SHA-256");
    token->given = true;
    return 0;
}
