// SPDX-License-Identifier: Apache-2.0
#include "publish/node.h"

#include "base/text.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

enum { ID_DIGITS = 32, PATH_SIZE = 512, DIGEST_MAX = 64 };

/* What the identity of a machine is for: another program's is another. */
static const char PURPOSE[] = "vramscope node v1";

int node_make_name(const char *name, char ret[COMPACT_NODE_SIZE])
{
    char host[256] = "";
    size_t n = 0;

    if (!name && gethostname(host, sizeof(host) - 1) == 0)
        name = host;
    for (const char *c = name ? name : ""; *c && n < COMPACT_NODE_SIZE - 1; c++)
        if (((unsigned char)*c & 0xc0) != 0x80) // one '-' for a character
            ret[n++] = text_is_of_name(*c) ? *c : '-';
    ret[n] = '\0';
    return n ? 0 : -EINVAL;
}

/* The hexadecimal digits of a file, without the dashes of a UUID. */
static int read_id(const char *folder, const char *name, char ret[ID_DIGITS])
{
    OWNED(close_fd) int fd = -1;
    char path[PATH_SIZE], text[64];
    size_t n = 0;
    ssize_t len;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= PATH_SIZE)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    len = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (len < 0)
        return neg_errno();
    for (ssize_t i = 0; i < len && n < ID_DIGITS && text[i] != '\n'; i++) {
        if (text[i] == '-')
            continue;
        if (!strchr("0123456789abcdef", text[i]) || !text[i])
            return -EINVAL;
        ret[n++] = text[i];
    }
    return n == ID_DIGITS ? 0 : -EINVAL;
}

int node_read_machine(const char *etc, const char *proc, char ret[COMPACT_MACHINE_SIZE])
{
    unsigned char digest[DIGEST_MAX];
    char id[ID_DIGITS];
    unsigned len = 0;
    int r = read_id(etc, "machine-id", id);

    if (r < 0)
        r = read_id(proc, "sys/kernel/random/boot_id", id);
    if (r < 0)
        return r;
    if (!HMAC(EVP_sha256(), id, ID_DIGITS, (const unsigned char *)PURPOSE,
              strlen(PURPOSE), digest, &len) ||
        len < ID_DIGITS / 2)
        return -ENOMEM;
    for (size_t i = 0; i < ID_DIGITS / 2; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return 0;
}
