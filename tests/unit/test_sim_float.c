// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "sim/sim_float.h"

/* What Python 3 with prometheus_client prints. */
static const struct {
    const char *row;
    double value;
    const char *text;
} pairs[] = {
    {"zero", 0, "0.0"},
    {"negative zero", -0.0, "-0.0"},
    {"count", 603, "603.0"},
    {"bound", 0.025, "0.025"},
    {"tenth", 0.1, "0.1"},
    {"sum of tenths", 0.1 + 0.2, "0.30000000000000004"},
    {"usage", 1.0 - 22218.0 / 25027.0, "0.11223878211531546"},
    {"usage as a fraction", 2809.0 / 25027.0, "0.11223878211531546"},
    {"mean", 1001.8787945970398, "1001.8787945970398"},
    {"below a million", 999999, "999999.0"},
    {"below a million, odd", 999999.5, "999999.5"},
    {"a million", 1e6, "1e+06"},
    {"above a million", 2022441, "2.022441e+06"},
    {"trailing zeros", 25028000, "2.5028e+07"},
    {"memory", 10214653952.0, "1.0214653952e+10"},
    {"unix time", 1786929018.6207745, "1.7869290186207745e+09"},
    {"fraction in the exponent form", 1234567.25, "1.23456725e+06"},
    {"sixteen digits", 1234567890123456.0, "1.234567890123456e+15"},
    {"repr's own exponent", 1e16, "1e+16"},
    {"same with digits", 123456789012345680.0, "1.2345678901234568e+17"},
    {"three-digit exponent", 1e300, "1e+300"},
    {"largest", DBL_MAX, "1.7976931348623157e+308"},
    {"smallest plain", 0.0001, "0.0001"},
    {"plain, many digits", 0.00012345, "0.00012345"},
    {"first with an exponent", 0.00001, "1e-05"},
    {"small", 1.5e-7, "1.5e-07"},
    {"smallest normal", DBL_MIN, "2.2250738585072014e-308"},
    {"smallest", 5e-324, "5e-324"},
    {"power of two with a short neighbour", 0x1p-44, "5.684341886080802e-14"},
    {"two to the 53", 0x1p53, "9.007199254740992e+15"},
    {"negative", -0.5, "-0.5"},
    {"negative million stays", -2022441.5, "-2022441.5"},
    {"negative whole million stays", -1e6, "-1000000.0"},
    {"infinity", HUGE_VAL, "+Inf"},
    {"minus infinity", -HUGE_VAL, "-Inf"},
};

static void expect(const char *row, double value, const char *text)
{
    struct buf out;

    buf_init(&out, 64);
    sim_float_write(&out, value);
    assert_int_equal(out.error, 0);
    if (!span_is(buf_span(&out), text))
        fail_msg("[%s] '%.*s' is not '%s'", row, (int)out.len, out.data, text);
    buf_done(&out);
}

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        expect(pairs[i].row, pairs[i].value, pairs[i].text);
    expect("not a number", (double)NAN, "NaN");
}

static void test_reads_back(void **state)
{
    uint64_t bits = 88172645463325252U;
    struct buf out;

    (void)state;
    buf_init(&out, 64);
    for (int i = 0; i < 100000; i++) {
        double value;

        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        buf_clear(&out);
        sim_float_write(&out, value);
        buf_add_char(&out, '\0');
        assert_true(strtod(out.data, NULL) == value);
        assert_true(out.len <= sizeof("-1.7976931348623157e+308"));
    }
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
