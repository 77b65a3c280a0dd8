// SPDX-License-Identifier: Apache-2.0
/*
 * config_build.h - a config in the making, filled by its sources, the weakest first
 *
 * A single value replaces that of a weaker source, and so does a list of texts as a whole;
 * engines of all sources add up.
 */
#ifndef CONFIG_CONFIG_BUILD_H
#define CONFIG_CONFIG_BUILD_H

#include "config/config.h"
#include "config/config_value.h"

enum { PLACE_TEXT_MAX = 256 };

enum config_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

/* Where a value was written. `prefix` and `name` are borrowed and outlive the build. */
struct config_place {
    const char *prefix; // "--" or "VRAMSCOPE_" or ""
    const char *name;   // of the flag, the variable or the file
    size_t line;        // from 1; 0: not in a file
    size_t column;
};

struct config_build {
    struct config *config;
    struct complaint *complaint;
    enum config_source source;
    struct config_place engine_places[CONFIG_ENGINES_MAX];
};

struct place_text {
    char text[PLACE_TEXT_MAX];
};

/* "--interval", "VRAMSCOPE_INTERVAL" or "vramscope.yaml:3:13". */
struct place_text config_place_text(const struct config_place *place);

/* Check `text` and store it in the config; a list grows by it. */
int config_add_value(struct config_build *build, const struct setting *setting,
                     const struct config_place *place, struct span text) MUST_CHECK;

/* Append an engine that has a url. If it fits, takes what `engine` owns and zeroes it. */
int config_add_engine(struct config_build *build, struct config_engine *engine,
                      const struct config_place *place) MUST_CHECK;

void config_engine_init(struct config_engine *engine);
void config_engine_done(struct config_engine *engine);

/* Where nobody says otherwise, history is kept where a service manager keeps our state. */
void config_settle_history(struct config *config, char **environment);

/*
 * What belongs to NATS, and what a gateway has in place of what a host has: -EINVAL, where
 * options do not go together.
 */
int config_settle_nats(struct config *config, struct complaint *complaint) MUST_CHECK;

/*
 * Read the YAML file at `path`, which must live as long as the build. Refused: a file
 * that everyone may write, more than CONFIG_FILE_MAX bytes, more than one document,
 * aliases (so that nothing can be multiplied by them) and tags.
 */
int config_read_file(struct config_build *build, const char *path) MUST_CHECK;

/* The same for text that has been read already; `path` is only shown. */
int config_read_yaml(struct config_build *build, const char *path,
                     struct span text) MUST_CHECK;

#endif
