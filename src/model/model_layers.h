// SPDX-License-Identifier: Apache-2.0
/*
 * model_layers.h - what config.json says of single layers: what each keeps between tokens
 *
 * Private to model_config.c. Models say it in half a dozen ways.
 */
#ifndef MODEL_MODEL_LAYERS_H
#define MODEL_MODEL_LAYERS_H

#include "model/model_config.h"
#include "wire/json.h"

/* Of an object whose numbers are already in `config`. As model_config_read(). */
int model_layers_read(const json_t *object, struct model_config *config,
                      struct complaint *why) MUST_CHECK;

#endif
