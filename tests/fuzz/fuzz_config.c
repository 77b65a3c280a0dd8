// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as the file give a config or one sentence that names the file. The first byte
 * says whether the rest is the file or, by lines, the command line.
 */
#include "config/config_build.h"

#include <assert.h>

enum { ARGS_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_engines(const struct config *config)
{
    for (size_t i = 0; i < config->n_engines; i++) {
        char *again = NULL;
        struct complaint why;
        int r = value_read_url(span_of(config->engines[i].url), &again, &why);

        assert(r == 0 && strcmp(again, config->engines[i].url) == 0);
        free(again);
    }
}

static void try_file(struct span text)
{
    struct complaint complaint = {""};
    struct config *config = calloc(1, sizeof(*config));
    struct config_build build = {
        .config = config, .complaint = &complaint, .source = FROM_FILE};

    if (!config)
        return;
    if (config_read_yaml(&build, "f.yaml", text) < 0)
        assert(strncmp(complaint.text, "f.yaml:", 7) == 0);
    check_engines(config);
    config_free(config);
}

static void try_flags(struct span text)
{
    char *argv[ARGS_MAX + 2] = {NULL};
    char *environment[] = {NULL};
    char *copy = strndup(text.at, text.len), *left = copy;
    struct complaint complaint = {""};
    struct config *config = NULL;
    enum config_action action;
    int argc = 1;

    while (left && argc <= ARGS_MAX)
        argv[argc++] = strsep(&left, "\n");
    if (config_load(argc, argv, environment, &config, &action, &complaint) < 0)
        assert(*complaint.text);
    else if (action == CONFIG_RUN)
        check_engines(config);
    config_free(config);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text;

    if (size == 0)
        return 0;
    text = (struct span){(const char *)data + 1, size - 1};
    if (*data == '-')
        try_flags(text);
    else
        try_file(text);
    return 0;
}
