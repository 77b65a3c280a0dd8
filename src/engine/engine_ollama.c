// SPDX-License-Identifier: Apache-2.0
/*
 * engine_ollama.c - what Ollama says of the models that it has loaded
 *
 * /api/ps lists them. Its size_vram is all that a model takes, weights and KV cache and
 * the rest, by Ollama's own estimate: the driver says better, and of the KV cache it is
 * no figure.
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure { MODEL, NAME, VRAM };

static const char *const names[] = {
    [MODEL] = "models[]",
    [NAME] = "models[].name",
    [VRAM] = "models[].size_vram",
};

struct ollama_page {
    struct model_name_note name; // of the model being read
    double largest_bytes;
    struct model_name_note largest; // of all
    uint32_t models;
};

static int ollama_sample(void *state, unsigned name, struct span text, double value,
                         const char **ret_why)
{
    struct ollama_page *page = state;

    (void)ret_why;
    if (name == MODEL) {
        page->models++;
        page->name = (struct model_name_note){0};
    } else if (name == NAME && text.at) {
        model_name_note(&page->name, text);
        if (!page->largest.name[0])
            page->largest = page->name;
    } else if (name == VRAM && value > page->largest_bytes) {
        page->largest_bytes = value;
        page->largest = page->name;
    }
    return 0;
}

static void ollama_finish(void *state, struct engine_page *ret)
{
    const struct ollama_page *page = state;

    engine_page_clear(ret);
    memcpy(ret->served_name, page->largest.name, sizeof(page->largest.name));
    ret->engines = 1;
    ret->kv_why = page->models ? "Ollama does not tell the use of its KV cache"
                               : "it has no model loaded";
}

const struct engine_kind engine_ollama = {
    .name = "ollama",
    .owner = "library",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .paths = {"/api/ps"},
    .is_json = true,
    .off_why = "it does not answer at /api/ps, as Ollama does since 0.1.33",
    .shape_why = "Ollama does not tell the bytes of its KV cache",
    .page_size = sizeof(struct ollama_page),
    .page_zeroed = sizeof(struct ollama_page),
    .sample = ollama_sample,
    .finish = ollama_finish,
};
