/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vdev.h"
#include "vmm/pc/vreset.h"

static struct vreset v;
static unsigned int resets;

static void on_reset(void *ctx)
{
	assert_ptr_equal(ctx, &resets);
	resets++;
}

static const struct vreset_ops ops = { on_reset };

static int setup(void **state)
{
	(void)state;
	fake_reset();
	resets = 0;
	vreset_init(&v, &ops, &resets);
	return 0;
}

static u8 command_in(void)
{
	return (u8)fake_in(&vreset_i8042_command_pio, &v, 0, 1);
}

static void command_out(u8 value)
{
	fake_out(&vreset_i8042_command_pio, &v, 0, 1, value);
}

/* Linux's last resort, which waits for the input buffer to be empty, resets at the first try. */
static void test_keyboard_reset(void **state)
{
	(void)state;
	assert_false(command_in() & 2);
	command_out(0xfe);
	assert_int_equal(resets, 1);
}

/* Linux's search for a controller empties the output buffer and gives up after 16 bytes. */
static void test_no_controller(void **state)
{
	unsigned int bytes = 0;

	(void)state;
	while (command_in() & 1) {
		fake_in(&vreset_i8042_data_pio, &v, 0, 1);
		if (++bytes == 16)
			break;
	}
	assert_int_equal(bytes, 16);
	assert_int_equal(resets, 0);
}

/* Of all commands, just the pulses of line 0 reset. */
static void test_commands(void **state)
{
	(void)state;
	for (unsigned int c = 0; c < 256; c++) {
		resets = 0;
		command_out((u8)c);
		assert_int_equal(resets, c >= 0xf0 && !(c & 1));
	}
}

/* Opening A20 through the output port does not reset; dropping its reset line does. */
static void test_output_port(void **state)
{
	(void)state;
	command_out(0xd1);
	fake_out(&vreset_i8042_data_pio, &v, 0, 1, 0xdf);
	assert_int_equal(resets, 0);
	fake_out(&vreset_i8042_data_pio, &v, 0, 1, 0xde); /* data of no command */
	assert_int_equal(resets, 0);
	command_out(0xd1);
	fake_out(&vreset_i8042_data_pio, &v, 0, 1, 0xde);
	assert_int_equal(resets, 1);
}

static void control_out(u8 value)
{
	fake_out(&vreset_control_pio, &v, 0, 1, value);
}

/* The reset control register acts on the rise of its bit 2, and shows what was written. */
static void test_control(void **state)
{
	(void)state;
	control_out(0x02);
	assert_int_equal(resets, 0);
	assert_int_equal(fake_in(&vreset_control_pio, &v, 0, 1) & 0xff, 0x02);
	control_out(0x06);
	assert_int_equal(resets, 1);
	control_out(0x0e);
	assert_int_equal(resets, 1);
	control_out(0);
	control_out(0x0e);
	assert_int_equal(resets, 2);
	vreset_reset(&v);
	control_out(VRESET_CONTROL_RESET);
	assert_int_equal(resets, 3);
}

/* No access of any size upsets it. */
static void test_sweep(void **state)
{
	(void)state;
	fake_sweep(&vreset_i8042_data_pio, &v, 1);
	fake_sweep(&vreset_i8042_command_pio, &v, 1);
	fake_sweep(&vreset_control_pio, &v, 1);
	assert_true(resets > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_keyboard_reset, setup),
		cmocka_unit_test_setup(test_no_controller, setup),
		cmocka_unit_test_setup(test_commands, setup),
		cmocka_unit_test_setup(test_output_port, setup),
		cmocka_unit_test_setup(test_control, setup),
		cmocka_unit_test_setup(test_sweep, setup),
	};

	return cmocka_run_group_tests_name("vreset", tests, NULL, NULL);
}
