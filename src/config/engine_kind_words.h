// SPDX-License-Identifier: Apache-2.0
/*
 * engine_kind_words.h - the kinds of engines as the words of a choice: "vllm|sglang|..."
 */
#ifndef CONFIG_ENGINE_KIND_WORDS_H
#define CONFIG_ENGINE_KIND_WORDS_H

static const char engine_kind_words[] =
#define KIND(name) "|" #name
#include "engine/kinds.def"
#undef KIND
    ;

#define ENGINE_KIND_WORDS (&engine_kind_words[1])

#endif
