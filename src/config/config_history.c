// SPDX-License-Identifier: Apache-2.0
#include "config/config_build.h"

static const char STATE[] = "STATE_DIRECTORY=";
static const char NAME[] = "/history.db";

/* The first folder that a service manager has made for us; NULL: none has. */
static char *default_file(char **environment)
{
    size_t len;
    char *file;

    while (*environment && strncmp(*environment, STATE, strlen(STATE)) != 0)
        environment++;
    if (!*environment || (*environment)[strlen(STATE)] != '/')
        return NULL;
    len = strcspn(*environment + strlen(STATE), ":");
    file = malloc(len + sizeof(NAME));
    if (!file)
        return NULL;
    memcpy(file, *environment + strlen(STATE), len);
    memcpy(file + len, NAME, sizeof(NAME));
    return file;
}

void config_settle_history(struct config *config, char **environment)
{
    if (!config->history && !config->demo && !config->gateway)
        config->history = default_file(environment);
    if (config->history && strcmp(config->history, "off") == 0) {
        free(config->history);
        config->history = NULL;
    }
}
