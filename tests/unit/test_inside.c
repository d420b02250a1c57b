/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside view's switches: what is noted while it is on, nothing while it is off, and nobody prints what somebody writes. */
#include "tests/unit/vcpu_rig.h"

#include "vmm/host/console.h"
#include "vmm/observe/exit_stats.h"
#include "vmm/observe/inside.h"

static size_t room;

static size_t line_room(void *ctx)
{
	(void)ctx;
	return room;
}

static size_t line_write(void *ctx, const void *data, size_t len)
{
	(void)ctx, (void)data;
	return len;
}

static size_t line_read(void *ctx, void *buf, size_t len)
{
	(void)ctx, (void)buf, (void)len;
	return 0;
}

/* With a virtio console in slot 1; @config from the start. */
static void start(const struct host_config *config)
{
	static const struct console_line line = { line_room, line_write, line_read, NULL };
	static const struct console_hooks hooks;

	rig_config.console = VM_CONSOLE_VIRTIO;
	rig_start(NULL);
	atomic_store(&inside_wanted, 0);
	this_cpu()->trace = NULL;
	this_cpu()->looks = 0;
	console_init(&line, &hooks);
	room = 1 << 16;
	capture_start();
	inside_init(config, 1);
	inside_vm_update(rig_vm);
}

static const struct host_config nothing, trace_on = { .trace = KIB(4) },
					 times_on = { .exit_times = true };

static void assert_event(u64 n, enum trace_kind kind, u32 what, u32 arg)
{
	const struct trace_event *e = &this_cpu()->trace->event[n];

	assert_true(n < this_cpu()->trace->next);
	assert_int_equal(e->kind, kind);
	assert_int_equal(e->who, 0);
	assert_int_equal(e->what, what);
	assert_int_equal(e->arg, arg);
}

static void exit_at(struct inside_view *view, unsigned int reason, u64 now)
{
	fake_vmcs_set(EXIT_REASON, reason);
	fake_vmcs_set(EXIT_QUALIFICATION, 0xc0200000);
	rig_vcpu.exit_reason = reason;
	inside_exit(view, &rig_vcpu, now);
}

/* A turn becomes events in their order, each with what it was about. */
static void test_turn(void **state)
{
	struct inside_view view;

	(void)state;
	start(&trace_on);
	rig_vcpu.regs.rcx = 0x6e0;
	inside_turn_begin(&view, this_cpu(), &rig_vcpu);
	inside_entry(&view, &rig_vcpu, 1, 2);
	exit_at(&view, EXIT_IO_INSTRUCTION, 3);
	inside_entry(&view, &rig_vcpu, 3, 4);
	exit_at(&view, EXIT_WRMSR, 5);
	vcpu_inject_gp(&rig_vcpu);
	inside_inject(&view, &rig_vcpu);
	fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0); /* as the exit does */
	inside_inject(&view, &rig_vcpu);
	inside_wait(&view, &rig_vcpu, true);
	inside_wait(&view, &rig_vcpu, false);
	inside_turn_end(&view, this_cpu(), &rig_vcpu, true);
	assert_event(0, TRACE_IN, 0, 0);
	assert_event(1, TRACE_ENTRY, 0, 0);
	assert_event(2, TRACE_EXIT, EXIT_IO_INSTRUCTION, 0xc020);
	assert_event(3, TRACE_ENTRY, 0, 0);
	assert_event(4, TRACE_EXIT, EXIT_WRMSR, 0x6e0);
	assert_event(5, TRACE_INJECT, VECTOR_GP, 3);
	assert_event(6, TRACE_OUT, 1, 0);
	assert_event(7, TRACE_IN, 0, 0);
	assert_event(8, TRACE_OUT, 1, 0);
	assert_int_equal(this_cpu()->trace->next, 9);
	assert_int_equal(this_cpu()->trace->event[2].tsc, 3);
	assert_int_equal(this_cpu()->looks, 0);
	assert_null(atomic_load(&rig_vcpu.stats));
}

static void take(u64 ticks)
{
	struct inside_view view;

	inside_turn_begin(&view, this_cpu(), &rig_vcpu);
	rig_vcpu.exit_reason = EXIT_HLT;
	inside_entry(&view, &rig_vcpu, 100, 100 + ticks);
	inside_turn_end(&view, this_cpu(), &rig_vcpu, false);
}

/* Times add up over turns; a measurement that is begun anew begins with none; and off is off. */
static void test_times(void **state)
{
	const struct exit_times *t;

	(void)state;
	start(&times_on);
	t = &atomic_load(&rig_vcpu.stats)->reason[EXIT_HLT];
	take(7);
	take(9);
	assert_int_equal(t->count, 2);
	assert_int_equal(t->total, 16);
	inside_key_times();
	inside_tend();
	take(5);
	assert_int_equal(t->count, 2);
	inside_key_times();
	take(5);
	assert_int_equal(t->count, 1);
	assert_int_equal(t->max, 5);
	assert_null(this_cpu()->trace);
}

/* With both off a turn leaves nothing anywhere, and nobody writes; memory comes with the first switch. */
static void test_off(void **state)
{
	struct inside_view view;

	(void)state;
	start(&nothing);
	assert_false(inside_on());
	inside_turn_begin(&view, this_cpu(), &rig_vcpu);
	assert_null(view.stats);
	assert_null(view.ring);
	assert_int_equal(this_cpu()->looks, 0);
	inside_turn_end(&view, this_cpu(), &rig_vcpu, false);
	inside_device(rig_vm, TRACE_KICK, 0, 0);
	assert_null(atomic_load(&rig_vcpu.stats));
	inside_key_times();
	assert_int_equal(rig_vm->events, VM_EVENT_INSIDE);
	vm_handle_events(rig_vm);
	assert_non_null(atomic_load(&rig_vcpu.stats));
}

/* The home CPU prints the times when nobody writes them any more, whoever still traces. */
static void test_print_times(void **state)
{
	struct inside_view view;

	(void)state;
	start(&times_on);
	inside_key_trace();
	take(3);
	rig_vm->events = 0;
	inside_turn_begin(&view, this_cpu(), &rig_vcpu);
	inside_key_times();
	inside_tend();
	assert_false(rig_vm->events & VM_EVENT_TIMES);
	inside_turn_end(&view, this_cpu(), &rig_vcpu, false);
	inside_turn_begin(&view, this_cpu(), &rig_vcpu); /* which is only traced */
	inside_tend();
	assert_true(rig_vm->events & VM_EVENT_TIMES);
	vm_handle_events(rig_vm);
	assert_non_null(strstr(capture_text(), "lintel: vm rig: vcpu 0: TSC ticks"));
	assert_int_equal(inside_wanted, INSIDE_TRACE);
	inside_turn_end(&view, this_cpu(), &rig_vcpu, false);
}

/* A trace is printed once nobody writes it, as far as the line has room; another one waits until that is over. */
static void test_print_trace(void **state)
{
	struct inside_view view;

	(void)state;
	start(&trace_on);
	inside_turn_begin(&view, this_cpu(), &rig_vcpu);
	inside_key_trace();
	inside_tend();
	assert_null(strstr(capture_text(), "trace: begin"));
	room = 0;
	inside_turn_end(&view, this_cpu(), &rig_vcpu, false);
	inside_tend();
	assert_non_null(strstr(capture_text(), "trace: begin"));
	assert_null(strstr(capture_text(), "trace: end"));
	inside_key_trace();
	assert_non_null(strstr(capture_text(), "lintel: trace: is being printed\n"));
	room = 1 << 16;
	inside_tend();
	assert_non_null(strstr(capture_text(), "lintel: trace: end: 2 events\n"));
	assert_int_equal(inside_wanted, 0);
	inside_key_trace();
	assert_int_equal(inside_wanted, INSIDE_TRACE);
	assert_int_equal(this_cpu()->trace->next, 0);
}

/* The end prints what goes on, and what has begun to be printed, also on a line without room. */
static void test_end(void **state)
{
	(void)state;
	start(&trace_on);
	room = 0;
	inside_end();
	assert_non_null(strstr(capture_text(), "lintel: trace: end: 0 events\n"));
	assert_int_equal(inside_wanted, 0);
	start(&trace_on);
	inside_key_trace();
	room = 0;
	inside_tend();
	assert_null(strstr(capture_text(), "trace: end"));
	inside_end();
	assert_non_null(strstr(capture_text(), "lintel: trace: end: 0 events\n"));
	start(&nothing);
	inside_end();
	assert_null(strstr(capture_text(), "trace"));
}

/* Kicks, by the port and in memory, are seen while somebody traces, and the devices are as before afterwards. */
static void test_virtio(void **state)
{
	const u64 notify = PCI_MEMORY_BASE + PCI_MEMORY_PER_SLOT + VIRTIO_PCI_REG_NOTIFY;

	(void)state;
	start(&trace_on);
	pio_write(&rig_vm->pio, PCI_IO_BASE + PCI_IO_PER_SLOT, 2, 1);
	assert_true(mmio_bus_write(&rig_vm->mmio, notify, 2, 5));
	assert_true(mmio_bus_write(&rig_vm->mmio, notify - VIRTIO_PCI_REG_NOTIFY, 4, 5));
	assert_event(0, TRACE_KICK, 1 << 8 | 1, 0);
	assert_event(1, TRACE_KICK, 1 << 8 | 5, 0);
	assert_int_equal(this_cpu()->trace->next, 2);
	inside_key_trace();
	vm_handle_events(rig_vm);
	for (unsigned int i = 0; i < rig_vm->pio.ranges; i++) {
		if (rig_vm->pio.range[i].base == PCI_IO_BASE + PCI_IO_PER_SLOT)
			assert_ptr_equal(rig_vm->pio.range[i].ops, &virtio_pci_notify_pio);
	}
	pio_write(&rig_vm->pio, PCI_IO_BASE + PCI_IO_PER_SLOT, 2, 1);
	assert_int_equal(this_cpu()->trace->next, 2);
}

/* An interrupt of a device is seen as a message with its vector, and by the pin once for each time that it goes up. */
static void test_interrupts(void **state)
{
	struct virtio_slot *slot;

	(void)state;
	start(&trace_on);
	slot = &rig_vm->machine->console.card->slot;
	slot->pci.msix.send(slot, 0xfee00000, 0x4041);
	slot->host.intx(slot, true);
	slot->host.intx(slot, true);
	slot->host.intx(slot, false);
	slot->host.intx(slot, true);
	assert_event(0, TRACE_INTERRUPT, 1 << 8, 0x41);
	assert_event(1, TRACE_INTERRUPT, 1 << 8, 256);
	assert_event(2, TRACE_INTERRUPT, 1 << 8, 256);
	assert_int_equal(this_cpu()->trace->next, 3);
}

static int teardown(void **state)
{
	(void)state;
	capture_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_off, teardown),
		cmocka_unit_test_teardown(test_turn, teardown),
		cmocka_unit_test_teardown(test_times, teardown),
		cmocka_unit_test_teardown(test_print_times, teardown),
		cmocka_unit_test_teardown(test_print_trace, teardown),
		cmocka_unit_test_teardown(test_end, teardown),
		cmocka_unit_test_teardown(test_virtio, teardown),
		cmocka_unit_test_teardown(test_interrupts, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
