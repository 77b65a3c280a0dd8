// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/filter.h"
#include "tui_document.h"

/* What the filters are tried on, at host "a1:6767": one of which all is known, and nothing. */
static const char models[] =
    "{'schema':1,'devices':[{},{},{}],'models':["
    "{'model':'Qwen/Qwen3-8B','model_id':'Qwen-Qwen3-8B','port':8000,'state':'ready',"
    "'stale':true,'age_ms':1200,'devices':[0,2],"
    "'vram':{'allocated_bytes':{'value':42949672960,'from':'measured'}},"
    "'kv_cache':{'usage_ratio':0.805,'used_bytes':{'value':8589934592,'from':'engine'}},"
    "'requests':{'running':3,'waiting':0,'preemptions':7},"
    "'prefix_cache':{'minute':{'hits':1,'queries':2,'hit_percent':50.0}}},"
    "{}]}";

/* Whether the known model passes; the unknown one must only where `unknown`. */
static const struct {
    const char *text;
    bool known, unknown;
} filters[] = {
    {"", true, true},
    {"   ", true, true},
    {" & ", true, true},

    {"qwen3", true, false},
    {"QWEN/qwen3-8b", true, false},
    {"Qwen-Qwen3", true, false},
    {"a1", true, true}, // the host is known
    {"read", true, false},
    {"llama", false, false},
    {"8000", false, false},
    {"qwen & ready", true, false},
    {"qwen & llama", false, false},

    {"host=a1:6767", true, true},
    {"host=a1", false, false},
    {"host!=a1", true, true},
    {"host~=A1", true, true},
    {"model=Qwen/Qwen3-8B", true, false},
    {"model=qwen-qwen3-8b", true, false},
    {"model!=Qwen/Qwen3-8B", false, false},
    {"model!=Qwen", true, false},
    {"MODEL ~ 8B", true, false},
    {"model~7B", false, false},
    {"state=ready", true, false},
    {"state=stale", true, false},
    {"state!=stale", false, false},
    {"state!=sleeping", true, false},
    {"state~lee", false, false},

    {"port=8000", true, false},
    {"port==8000", true, false},
    {"port!=8000", false, false},
    {"port>7999", true, false},
    {"port>=8001", false, false},

    {"gpu=0", true, false},
    {"gpu=1", false, false},
    {"gpu=2", true, false},
    {"gpu!=1", true, false},
    {"gpu!=2", false, false},
    {"gpu>1", true, false},
    {"gpu>2", false, false},

    {"vram=40", true, false},
    {"vram=40.04GiB", true, false},
    {"vram=40.06GiB", false, false},
    {"vram!=40", false, false},
    {"vram>39.9", true, false},
    {"vram>40GiB", false, false},
    {"vram>=40 GiB", true, false},
    {"vram<42949672961b", true, false},
    {"vram<42949672960B", false, false},
    {"vram>40000MiB", true, false},
    {"vram<0.04TiB", true, false},
    {"vram<43GB", true, false},
    {"vram<42.9GB", false, false},
    {"vram>1KiB&vram>1k&vram>1m&vram>1g&vram<1t&vram>1kb&vram>1mb&vram<1tb", true, false},

    {"kv>80", true, false},
    {"kv>80%", true, false},
    {"vram>1%", false, false}, // of nodes alone
    {"kv>81", false, false},
    {"kv%>80", true, false},
    {"kv%=80.5", true, false},
    {"kv>7.9GiB", true, false},
    {"kv>8GiB", false, false},
    {"kv<80", false, false},

    {"hit=50%", true, false},
    {"hit<50", false, false},
    {"run>2", true, false},
    {"run=3.1", false, false},
    {"wait=0", true, false},
    {"wait!=0", false, false},
    {"wait<=0", true, false},
    {"preempt>=7", true, false},
    {"age>1", true, false},
    {"age=1", true, false},
    {"age>1300ms", false, false},
    {"age<1m & age<1min & age<1h & age>1s", true, false},

    {"kv>80 & host~a1 & state=ready", true, false},
    {"kv>80 & host~a2 & state=ready", false, false},
    {"run=3&run=3&run=3&run=3&run=3&run=3&run=3&run=3", true, false},
    {"\303\244", false, false},
};

static void test_filters(void **state)
{
    const struct vramscope_detail *detail = document(models);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        struct filter filter;
        char why[128] = "";

        if (filter_parse(span_of(filters[i].text), &filter, why, sizeof(why)) < 0)
            fail_msg("[%s] %s", filters[i].text, why);
        if (filter_passes(&filter, "a1:6767", detail->models[0]) != filters[i].known)
            fail_msg("[%s] of what is known", filters[i].text);
        if (filter_passes(&filter, "a1:6767", detail->models[1]) != filters[i].unknown)
            fail_msg("[%s] of what is not", filters[i].text);
    }
    vramscope_detail_unref(detail);
}

static const struct {
    const char *text, *why;
} faults[] = {
    {"kvv>80", "kvv: no such field; fields are host, model, port, gpu, state, vram, kv, "
               "kv%, hit, run, wait, preempt, age, node, vram%, nodes, gpus, models, "
               "version"},
    {"=80", ": no such field; fields are host, model, port, gpu, state, vram, kv, kv%, "
            "hit, run, wait, preempt, age, node, vram%, nodes, gpus, models, version"},
    {"a!b", "!: the operator is !="},
    {"kv>", "kv: compared with what?"},
    {"host= ", "host: compared with what?"},
    {"qwen & kv > many", "many: not a number, which kv is compared with"},
    {"run>0x10", "x10: not a unit of run"},
    {"run>1..2", "1..2: not a number, which run is compared with"},
    {"run>-1", "-1: not a number, which run is compared with"},
    {"run>3GiB", "GiB: not a unit of run"},
    {"kv%>8GiB", "GiB: not a unit of kv%"},
    {"kv>8GIBS", "GIBS: not a unit of kv"},
    {"vram>80s", "s: not a unit of vram"},
    {"vram~4", "vram is a number: it takes = != > >= < <="},
    {"model>a", "model is a text: it takes = != ~"},
    {"kv>80>90", ">90: not a unit of kv"},
    {"run=3&run=3&run=3&run=3&run=3&run=3&run=3&run=3&run=3", "more than 8 conditions"},
    {"0123456789012345678901234567890123456789012345678901234567890123",
     "012345678901234567890123...: longer than 63 bytes"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct filter filter = {.n = 77};
        char why[256] = "", little[8];

        if (filter_parse(span_of(faults[i].text), &filter, why, sizeof(why)) != -EINVAL)
            fail_msg("[%s] is understood", faults[i].text);
        if (strcmp(why, faults[i].why) != 0)
            fail_msg("[%s] %s", faults[i].text, why);
        assert_int_equal(filter.n, 77);
        assert_int_equal(
            filter_parse(span_of(faults[i].text), &filter, little, sizeof(little)),
            -EINVAL);
        assert_memory_equal(little, why, sizeof(little) - 1);
        assert_int_equal(little[sizeof(little) - 1], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
