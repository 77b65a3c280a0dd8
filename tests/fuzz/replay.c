// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c - give every file of the folders named to a fuzz target, once
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly its size, so that the sanitizer sees a read past its end. */
static int replay_file(int dir_fd, const char *name)
{
    static uint8_t bytes[INPUT_MAX];
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    uint8_t *input;

    if (n < 0)
        return -1;
    (void)close(fd);
    input = malloc(n ? (size_t)n : 1);
    if (!input)
        return -1;
    for (ssize_t i = 0; i < n; i++)
        input[i] = bytes[i];
    (void)LLVMFuzzerTestOneInput(input, (size_t)n);
    free(input);
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int files = 0;

    if (!dir)
        return -1;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay_file(dirfd(dir), entry->d_name) < 0)
            return -1;
        files++;
    }
    (void)closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int files = replay_folder(argv[i]);

        if (files <= 0) {
            (void)fprintf(stderr, "%s: nothing to replay\n", argv[i]);
            return 1;
        }
        (void)printf("%s: %d inputs\n", argv[i], files);
    }
    return 0;
}
