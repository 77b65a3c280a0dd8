// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_scalar.h - what a plain scalar of a YAML file is to Python's yaml.safe_load()
 *
 * The words and numbers of YAML 1.1 as PyYAML knows them, odd ones included: `on` is true,
 * 010 is eight, and 1e3, which has no dot, is text.
 */
#ifndef MODEL_YAML_SCALAR_H
#define MODEL_YAML_SCALAR_H

#include "base/base.h"

enum { YAML_NUMBER_MAX = 64 }; // bytes of one as written, with a NUL; longer ones are odd

enum yaml_scalar_kind {
    YAML_TEXT,
    YAML_NULL,
    YAML_TRUE,
    YAML_FALSE,
    YAML_NUMBER,
    YAML_ODD, // base 60, no finite number, too large, or `<<` and `=`: of no use here
};

struct yaml_scalar {
    enum yaml_scalar_kind kind;
    char number[YAML_NUMBER_MAX]; // of a YAML_NUMBER, as JSON writes it
};

/* `text` stands in the file without quotes. */
void yaml_scalar_read(struct span text, struct yaml_scalar *ret);

#endif
